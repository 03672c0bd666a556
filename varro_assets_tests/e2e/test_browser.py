"""What a person sees: the UI of ``varro --demo up`` in a real browser, page by page, with screenshots kept."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.common.exceptions import WebDriverException
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
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="no chromium and chromedriver here"),
]
# the first four: a browser without a screen, run by root in a container; the rest: no traffic of its own, and numbers
# written the same way whatever the machine's language
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
    "--lang=en-US",
    "--accept-lang=en-US",
    "--window-size=1500,1400",
)


class Browser:
    """Pages of the UI as text."""

    def __init__(self, driver: webdriver.Chrome, up: Up, folder: Path) -> None:
        self._driver, self._up, self._folder = driver, up, folder

    def look(self, path: str, *awaited: str, until: Callable[[str], bool] = bool) -> str:
        """Open a page, wait until it shows all that is awaited, keep a screenshot; the page's text.

        A page comes in parts, each with a question of its own to the server: whatever shall be there has to be awaited.
        """
        self._driver.get(self._up.url + path)
        seen = ""

        def shows() -> bool:
            nonlocal seen
            seen = self._text()
            return all(text in seen for text in awaited) and until(seen)

        wait_for(shows, 240, but=lambda: f"{[text for text in awaited if text not in seen]} not in: {seen}")
        name = path.strip("/").replace("/", "_").split("?")[0] or "start"
        self._driver.save_screenshot(str(self._folder / f"{name}.png"))
        return seen

    def _text(self) -> str:
        try:
            return self._driver.find_element(By.TAG_NAME, "body").text
        except WebDriverException:
            return ""  # the page was drawn anew while it was read


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
    text = browser.look(
        "/locations/varro_assets/asset-groups/borgere",
        *("FOLK1A", "folk1a", "15 partitions", "Parquet", "Postgres"),
        until=lambda text: text.count("100% filled") == 2,
    )
    assert "Failed" not in text


def test_every_partition_is_green(browser: Browser) -> None:
    path = "/assets/statbank/FOLK1A?view=partitions"
    browser.look(path, "Materialized (15)", "Failed (0)", "Missing (0)", "2025K3", "2022K1")


def test_one_partition_tells_its_rows_and_version(browser: Browser) -> None:
    names = ("content_hash", "outcome", "fetched_at", "updated", "2025-08-11T08:00:00", "bytes", "nulls", "path")
    browser.look("/assets/statbank/FOLK1A?view=partitions&partition=2025K3", *names)


def test_the_facts_page_describes_the_columns(browser: Browser) -> None:
    browser.look(
        "/assets/fact/folk1a?view=overview",
        *("omrade", "indhold", "statbank.dk"),
        "Befolkningen den 1. i kvartalet (simuleret) by område, køn, alder, civilstand.",
        "område: 000 = Hele landet",
        "double precision",
        "fact.folk1a",
        "https://www.statbank.dk/FOLK1A",
    )


def test_the_summary_tells_what_the_last_sync_did(browser: Browser) -> None:
    awaited = ("(FOLK1A). Materialise it alone to sync", "253,582", "periods_new", "2022K1 to 2025K3")
    browser.look("/assets/table/FOLK1A?view=overview", *awaited)


def test_the_document_is_shown_beside_its_asset(browser: Browser) -> None:
    awaited = ("What to read before querying", "folk1a.md", "Show Markdown")
    browser.look("/assets/context/fact/folk1a?view=overview", *awaited)


def test_the_links_show_their_joins(browser: Browser) -> None:
    browser.look("/assets/dimension_links/FOLK1A?view=overview", "dim.nuts", "exact", "f.omrade = d.kode")


def test_the_checks_tell_what_they_found(browser: Browser) -> None:
    browser.look(
        "/assets/dimension_links/FOLK1A?view=checks",
        *("links_hold", "coverage", "100.0% in nuts"),
        until=lambda text: text.count("Succeeded") == 2,
    )


def test_a_dimension_that_the_command_fetched_is_green(browser: Browser) -> None:
    text = browser.look("/assets/dim/nuts?view=overview", "dim.nuts_tree", "Landsdel")
    assert "Never materialized" not in text


def test_the_runs_name_their_table(browser: Browser) -> None:
    text = browser.look(
        "/runs",
        *("varro/table: FOLK1A", "varro/table: KORD1"),
        until=lambda text: text.count("Success") >= 2,  # polls come every minute, and are runs as well
    )
    assert "Failure" not in text
