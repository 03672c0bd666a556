"""What a person sees: the UI of ``varro --demo up`` in a real browser, page by page, with screenshots kept."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

from varro_assets_tests.e2e.conftest import make_home, wait_for
from varro_assets_tests.e2e.dagster_ui import Up, running
from varro_assets_tests.postgres_fixture import reachable

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="no chromium and chromedriver here"),
]
# the first four: a browser without a screen, run by root in a container; the rest: no traffic of its own
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1500,1400",
)


class Browser:
    """Pages of the UI as text."""

    def __init__(self, driver: webdriver.Chrome, up: Up, folder: Path) -> None:
        self._driver, self._up, self._folder = driver, up, folder

    def look(self, path: str, *awaited: str) -> str:
        """Open a page, wait until it shows all that is awaited, keep a screenshot; the page's text."""
        self._driver.get(self._up.url + path)
        wait_for(lambda: all(text in self._text() for text in awaited), 60, but=self._text)
        name = path.strip("/").replace("/", "_").split("?")[0] or "start"
        self._driver.save_screenshot(str(self._folder / f"{name}.png"))
        return self._text()

    def _text(self) -> str:
        try:
            return self._driver.find_element(By.TAG_NAME, "body").text
        except StaleElementReferenceException:
            return ""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with reachable() as folder:
        home = make_home(folder / "home")
        demo = home.folder / "data" / "demo"
        demo.mkdir(parents=True)
        (demo / "varro.toml").write_text('[tables]\nfollow = ["FOLK1A", "KORD1"]\n', encoding="utf-8")
        home.good("--demo", "dims", "sync", "nuts")
        home.good("--demo", "sync")
        options = Options()
        options.binary_location = str(CHROMIUM)
        for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
            options.add_argument(flag)
        try:
            with running(home) as up:
                driver = webdriver.Chrome(options=options, service=Service(str(DRIVER)))
                try:
                    yield Browser(driver, up, tmp_path_factory.mktemp("screenshots"))
                finally:
                    driver.quit()
        finally:
            home.end()


def test_the_graph_of_a_group_shows_table_facts_and_summary(browser: Browser) -> None:
    text = browser.look("/locations/varro_assets/asset-groups/borgere", "FOLK1A", "folk1a", "15 partitions")
    assert text.count("100% filled") == 2
    assert "Parquet" in text
    assert "Postgres" in text
    assert "Failed" not in text


def test_every_partition_is_green(browser: Browser) -> None:
    text = browser.look("/assets/statbank/FOLK1A?view=partitions", "Materialized (15)", "2025K3")
    assert "Failed (0)" in text
    assert "Missing (0)" in text
    assert "2022K1" in text


def test_one_partition_tells_its_rows_and_version(browser: Browser) -> None:
    text = browser.look("/assets/statbank/FOLK1A?view=partitions&partition=2025K3", "content_hash", "outcome")
    for name in ("fetched_at", "updated", "2025-08-11T08:00:00", "bytes", "nulls", "path"):
        assert name in text, name


def test_the_facts_page_describes_the_columns(browser: Browser) -> None:
    text = browser.look("/assets/fact/folk1a?view=overview", "omrade", "indhold", "statbank.dk")
    assert "Befolkningen den 1. i kvartalet (simuleret) by område, køn, alder, civilstand." in text
    assert "område: 000 = Hele landet" in text
    assert "double precision" in text
    assert "fact.folk1a" in text
    assert "https://www.statbank.dk/FOLK1A" in text


def test_the_summary_tells_what_the_last_sync_did(browser: Browser) -> None:
    text = browser.look("/assets/table/FOLK1A?view=overview", "(FOLK1A). Materialise it alone to sync", "253,582")
    assert "periods_new" in text
    assert "2022K1 to 2025K3" in text


def test_the_document_is_shown_beside_its_asset(browser: Browser) -> None:
    text = browser.look("/assets/context/fact/folk1a?view=overview", "What to read before querying", "folk1a.md")
    assert "Show Markdown" in text


def test_the_links_show_their_joins(browser: Browser) -> None:
    text = browser.look("/assets/dimension_links/FOLK1A?view=overview", "dim.nuts", "exact")
    assert "f.omrade = d.kode" in text


def test_the_checks_tell_what_they_found(browser: Browser) -> None:
    text = browser.look("/assets/dimension_links/FOLK1A?view=checks", "links_hold", "coverage", "100.0% in nuts")
    assert text.count("Succeeded") == 2


def test_a_dimension_that_the_command_fetched_is_green(browser: Browser) -> None:
    text = browser.look("/assets/dim/nuts?view=overview", "dim.nuts_tree", "Landsdel")
    assert "Never materialized" not in text


def test_the_runs_name_their_table(browser: Browser) -> None:
    text = browser.look("/runs", "varro/table: FOLK1A", "varro/table: KORD1")
    assert text.count("Success") >= 2  # polls come every minute, and are runs as well
    assert "Failure" not in text
