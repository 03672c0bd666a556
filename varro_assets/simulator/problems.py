"""The API's errors: type codes, messages and statuses as recorded.

What belongs here: one function per cause. Danish texts are those the real API was seen to send; the English ones, where
no recording exists, are translations.
"""

from __future__ import annotations


class ApiProblem(Exception):
    """An error body of the API.

    Attributes:
        code: ``errorTypeCode``.
        message: the text.
        status: HTTP status.
    """

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


def no_format(lang: str) -> ApiProblem:
    """Format missing or unknown; also an empty body."""
    english = "Format not supplied, or not valid."
    return ApiProblem("REQUEST-MISSING", english if lang == "en" else "Format ikke angivet, eller ikke gyldigt.")


def no_table(lang: str) -> ApiProblem:
    """No table id in the request."""
    english = "No table id supplied."
    return ApiProblem("REQUEST-MISSING", english if lang == "en" else "Der er ikke angivet nogen tabel-id.")


def bad_json() -> ApiProblem:
    """Malformed JSON on /data; bilingual, since the language is inside the body."""
    text = "Medsend gyldigt JSON-objekt når der postes. / Supply valid JSON-object when posting."
    return ApiProblem("REQUEST-EMPTY", text)


def bad_language() -> ApiProblem:
    """Neither da nor en; the real text was never recorded."""
    return ApiProblem("REQUEST-LANGUAGE", "Sproget er ikke gyldigt. / Language is not valid.")


def no_page() -> ApiProblem:
    """Unknown path."""
    return ApiProblem("REQUEST-NOTFOUND", "Siden kan ikke findes. / Page not found.", 404)


def unknown_table(table: str, lang: str) -> ApiProblem:
    """A table id that does not exist."""
    text = f"Table not found: {table}" if lang == "en" else f"Tabel findes ikke: {table}"
    return ApiProblem("EXTRACT-NOTFOUND", text)


def unknown_subject(subject: str, lang: str) -> ApiProblem:
    """A subject id that does not exist."""
    text = f"Can't find subject: {subject}" if lang == "en" else f"Kan ikke finde emnet: {subject}"
    return ApiProblem("EXTRACT-NOTFOUND", text)


def unknown_variable(variable: str, lang: str) -> ApiProblem:
    """A variable the table does not have."""
    text = f"Can't find variable: {variable}" if lang == "en" else f"Kan ikke finde variablen: {variable}"
    return ApiProblem("EXTRACT-NOTFOUND", text)


def unknown_value(value: str, variable: str, lang: str) -> ApiProblem:
    """A value the variable does not have; a period that disappeared is one."""
    what = f"{value} ({variable})"
    text = f"Can't find value: {what}" if lang == "en" else f"Kan ikke finde værdien: {what}"
    return ApiProblem("EXTRACT-NOTFOUND", text)


def no_values(variable: str, lang: str) -> ApiProblem:
    """A variable that needs values got none."""
    english = f"Values must be selected for variable: {variable}"
    danish = f"Der skal vælges værdier for variabel: {variable}"
    return ApiProblem("EXTRACT-NOTALLOWED", english if lang == "en" else danish)


def no_time_order(lang: str) -> ApiProblem:
    """``timeOrder`` together with a streaming format."""
    english = "Sorting of time cannot be selected for streamed formats."
    danish = "Der kan ikke vælges sortering af tid for streamede formater."
    return ApiProblem("EXTRACT-STREAMINGTIMESORT", english if lang == "en" else danish)


def too_many_cells(cells: int, limit: int, lang: str) -> ApiProblem:
    """More cells than a format without streaming may have."""
    if lang == "en":
        text = (
            f"The request for up to {cells:,} cells exceeds the limit of {limit:,} cells for this file type. "
            "Use BULK or another streaming format instead."
        )
    else:
        text = (
            f"Forespørgslen på op mod {cells:,} celler er over begrænsningen på {limit:,} celler for denne "
            "filtype. Anvend BULK eller andet streaming format i stedet."
        ).replace(",", ".")
    return ApiProblem("REQUEST-LIMIT", text)
