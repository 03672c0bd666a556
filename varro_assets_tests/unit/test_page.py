"""The publisher's pages: what is taken of them, what is left, and that it is always the same text."""

from __future__ import annotations

import pytest

from varro_assets.dimensions.classifications import page
from varro_assets.errors import UnexpectedResponse

BASE = "https://www.dst.dk/da/Statistik/dokumentation/nomenklaturer/nuts"
GUID = "5d18d1e0-400b-4505-92ad-6782915980a3"
FULL = f"""<!DOCTYPE html>
<html lang="da"><head><title>Regioner (NUTS), v1:2007- - Danmarks Statistik</title>
<style>p {{ color: red }}</style><script>var x = '<p class="classificationheading">nej</p>';</script></head>
<body><header><nav><ul><li><a href="/da/">Forside</a></li></ul></nav></header>
<main>
<div class="some classificationheading">
<h1>Regioner,
 landsdele (NUTS)</h1>


<p>Danmark er delt i <b>5</b> regioner, se&nbsp;<a href="/da/NUTS_V1_2007?a=1&amp;b=2">NUTS_V1_2007</a>
og <a href="javascript:alert(1)">dette</a>.</p><script>track()</script>
<ul><li>Hovedstaden</li><li>Sj\u00e6lland</li></ul><!-- intern -->
<table><tr><th>kode</th><th>titel</th></tr><tr><td>084</td><td>Hovedstaden</td></tr></table>
<form><input value="x"><button>S\u00f8g</button></form>
</div>
<a href="/klassifikationsbilag/{GUID}csv_da">Hent</a>
<a href="https://www.dst.dk/klassifikationsbilag/{GUID}csv_en?x=1">Get</a>
<a href="/klassifikationsbilag/{GUID}ddi_da">DDI</a>
<a href="/klassifikationsbilag/00000000-0000-4000-8000-000000000000csv_da">\u00c6ldre</a>
</main><footer>Danmarks Statistik</footer></body></html>
"""


def test_the_description_is_the_heading_as_markdown() -> None:
    assert page.description(FULL, base_url=BASE) == (
        "# Regioner, landsdele (NUTS)\n\n"
        "Danmark er delt i **5** regioner, se [NUTS_V1_2007](https://www.dst.dk/da/NUTS_V1_2007?a=1&b=2)\n"
        "og dette.\n\n"
        "- Hovedstaden\n- Sj\u00e6lland\n\n"
        "| kode | titel |\n| --- | --- |\n| 084 | Hovedstaden |"
    )


def test_bytes_with_or_without_a_mark_give_the_same_text_every_time() -> None:
    once = page.description(FULL, base_url=BASE)
    assert page.description(FULL.encode(), base_url=BASE) == once
    assert page.description(b"\xef\xbb\xbf" + FULL.encode(), base_url=BASE) == once


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("<body><nav>x</nav><main><p>Et</p></main></body>", "Et"),
        ("<body><article><p>Et</p></article></body>", "Et"),
        ("<body><header>Top</header><p>Et</p><aside>Side</aside><footer>Bund</footer></body>", "Et"),
        ('<main><h1 class="classificationheading">Titel</h1><p>Et</p></main>', "# Titel\n\nEt"),
        ('<main><div class="classificationheading"><h1>Titel</h1></div><p>Et</p></main>', "# Titel\n\nEt"),
        ("<main></main>", ""),
        ("", ""),
        ("ingen opm\u00e6rkning", ""),
    ],
)
def test_without_a_full_heading_the_main_part_counts(html: str, expected: str) -> None:
    assert page.description(html, base_url=BASE) == expected


def test_links_that_lead_nowhere_keep_their_words() -> None:
    html = '<main><p><a href="http://[">a</a> <a>b</a> <a href="data:x">c</a> <a href="mailto:d@e.dk">d</a></p></main>'
    assert page.description(html, base_url=BASE) == "a b c [d](mailto:d@e.dk)"


def test_nothing_unprintable_is_left() -> None:
    html = "<main><p>a\u200bb\x00c\u2028d\u00a0e\tf</p></main>"
    assert page.description(html, base_url=BASE) == "abc d e f"


@pytest.mark.parametrize("section", ["<![if !IE]>", "<![foo", "<!--[if IE]><b><![endif]-->", "<![CDATA[x]]>"])
def test_marked_sections_do_not_hide_the_text(section: str) -> None:
    assert page.description(f"<main>{section}<p>Et</p></main>", base_url=BASE).endswith("Et")


def test_a_page_nested_beyond_reason_is_refused() -> None:
    with pytest.raises(UnexpectedResponse, match="nested too deeply"):
        page.description("<main>" + "<div>" * 5000 + "x", base_url=BASE)


def test_the_links_to_the_files_are_absolute_and_the_first_counts() -> None:
    assert page.csv_links(FULL, BASE) == {
        "da": f"https://www.dst.dk/klassifikationsbilag/{GUID}csv_da",
        "en": f"https://www.dst.dk/klassifikationsbilag/{GUID}csv_en?x=1",
    }
    assert page.csv_links("<a href='http://['>x</a><a name='y'>y</a>", BASE) == {}


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        (FULL, "Regioner, landsdele (NUTS)"),
        ('<h1>Logo</h1><p class="classificationheading">x</p><main><h1>Titel</h1></main>', "Titel"),
        ('<h1>Logo</h1><h2 class="classificationheading">Titel</h2>', "Titel"),
        ("<title>Kommunegrupper v1:2018- - Danmarks Statistik</title>", "Kommunegrupper v1:2018-"),
        ("<title>Municipality Groups | Statistics Denmark (test)</title>", "Municipality Groups"),
        ("<title>K\u00f8n - alder</title><h1> </h1>", "K\u00f8n - alder"),
        ("<p>x</p>", ""),
    ],
)
def test_the_title(html: str, expected: str) -> None:
    assert page.title(html) == expected


def test_the_page_that_says_moved() -> None:
    html = '<h2>Object moved to <a href="/Site/Dst/SingleFiles/GetArchiveFile.aspx?fi=3&amp;fo=0">here</a>.</h2>'
    assert page.moved_to(html, BASE) == "https://www.dst.dk/Site/Dst/SingleFiles/GetArchiveFile.aspx?fi=3&fo=0"
    assert page.moved_to(html.encode(), BASE) == page.moved_to(html, BASE)
    assert page.moved_to(FULL, BASE) is None
    assert page.moved_to("<h2>Object moved</h2>", BASE) is None
    assert page.moved_to("<h2>Object moved <a href='javascript:x'>here</a></h2>", BASE) is None
