"""Public holidays, from the library `holidays`: schedd's extra of that name."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from datetime import date
from difflib import get_close_matches

from schedd.core.errors import ExpressionError
from schedd.core.model.calendar import HolidaysEntry


class PublicHolidays:
    """See `schedd.core.ports.Holidays`. The library is loaded when a calendar first asks for it."""

    def dates(self, entry: HolidaysEntry, *, first_year: int, last_year: int) -> Sequence[date]:
        """The public holidays of these years, observed days included, ascending. Raises: ExpressionError."""
        if importlib.util.find_spec("holidays") is None:
            raise ExpressionError(
                text=entry.country,
                part="holidays",
                reason="public holidays want schedd's extra `holidays`, which is not installed",
                length=max(1, len(entry.country)),
                suggestion="pip install 'schedd[holidays]', and start the daemon again; or name the days one by one",
            )
        import holidays

        countries = holidays.list_supported_countries(include_aliases=False)
        if entry.country not in countries:
            raise _unknown("country", entry.country, list(countries), "an ISO 3166-1 code of two letters, such as DE")
        parts = countries[entry.country]
        if entry.subdivision and entry.subdivision not in parts:
            known = f"{entry.country} has {', '.join(parts)}" if parts else f"{entry.country} has no parts; leave it empty"
            raise _unknown("subdivision", entry.subdivision, parts, known)
        try:
            found = holidays.country_holidays(entry.country, subdiv=entry.subdivision or None, years=range(first_year, last_year + 1))
        except (
            Exception
        ) as error:  # What the library comes to with one country must keep neither the daemon nor other calendars from going on.
            reason = f"the library that knows public holidays failed: {type(error).__name__}: {error}"
            raise ExpressionError(text=entry.country, part="holidays", reason=reason) from error
        return sorted(found)


def _unknown(part: str, text: str, known: list[str], form: str) -> ExpressionError:
    near = get_close_matches(text.upper(), known, 1, 0.5)
    return ExpressionError(
        text=text,
        part=f"holidays.{part}",
        reason=f"the holidays of `{text}` are not known",
        length=max(1, len(text)),
        suggestion=f"did you mean `{near[0]}`? {form}" if near else form,
    )
