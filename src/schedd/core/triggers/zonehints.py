"""The IANA zones that people mean by Windows' names, by abbreviations and by offsets.

Source of the Windows names: CLDR's windowsZones, each with the place that it gives for the territory 001.
"""

from __future__ import annotations

import re
from typing import Final

_WINDOWS: Final = {
    "dateline standard time": "Etc/GMT+12",
    "hawaiian standard time": "Pacific/Honolulu",
    "alaskan standard time": "America/Anchorage",
    "pacific standard time": "America/Los_Angeles",
    "us mountain standard time": "America/Phoenix",
    "mountain standard time": "America/Denver",
    "central america standard time": "America/Guatemala",
    "central standard time": "America/Chicago",
    "central standard time (mexico)": "America/Mexico_City",
    "canada central standard time": "America/Regina",
    "sa pacific standard time": "America/Bogota",
    "eastern standard time": "America/New_York",
    "us eastern standard time": "America/Indiana/Indianapolis",
    "atlantic standard time": "America/Halifax",
    "pacific sa standard time": "America/Santiago",
    "newfoundland standard time": "America/St_Johns",
    "e. south america standard time": "America/Sao_Paulo",
    "argentina standard time": "America/Argentina/Buenos_Aires",
    "greenland standard time": "America/Nuuk",
    "azores standard time": "Atlantic/Azores",
    "gmt standard time": "Europe/London",
    "greenwich standard time": "Atlantic/Reykjavik",
    "w. europe standard time": "Europe/Berlin",
    "central europe standard time": "Europe/Budapest",
    "central european standard time": "Europe/Warsaw",
    "romance standard time": "Europe/Paris",
    "w. central africa standard time": "Africa/Lagos",
    "gtb standard time": "Europe/Bucharest",
    "e. europe standard time": "Europe/Chisinau",
    "fle standard time": "Europe/Kyiv",
    "egypt standard time": "Africa/Cairo",
    "south africa standard time": "Africa/Johannesburg",
    "israel standard time": "Asia/Jerusalem",
    "turkey standard time": "Europe/Istanbul",
    "russian standard time": "Europe/Moscow",
    "e. africa standard time": "Africa/Nairobi",
    "arab standard time": "Asia/Riyadh",
    "arabian standard time": "Asia/Dubai",
    "iran standard time": "Asia/Tehran",
    "pakistan standard time": "Asia/Karachi",
    "india standard time": "Asia/Kolkata",
    "nepal standard time": "Asia/Kathmandu",
    "bangladesh standard time": "Asia/Dhaka",
    "se asia standard time": "Asia/Bangkok",
    "china standard time": "Asia/Shanghai",
    "singapore standard time": "Asia/Singapore",
    "taipei standard time": "Asia/Taipei",
    "w. australia standard time": "Australia/Perth",
    "tokyo standard time": "Asia/Tokyo",
    "korea standard time": "Asia/Seoul",
    "cen. australia standard time": "Australia/Adelaide",
    "aus central standard time": "Australia/Darwin",
    "e. australia standard time": "Australia/Brisbane",
    "aus eastern standard time": "Australia/Sydney",
    "tasmania standard time": "Australia/Hobart",
    "new zealand standard time": "Pacific/Auckland",
}
_ABBREVIATIONS: Final = {
    **dict.fromkeys(("PST", "PDT", "PT"), ("America/Los_Angeles",)),
    **dict.fromkeys(("MDT", "MT"), ("America/Denver",)),
    **dict.fromkeys(("CDT", "CT"), ("America/Chicago",)),
    **dict.fromkeys(("EDT", "ET", "EST5"), ("America/New_York",)),
    "CST": ("America/Chicago", "Asia/Shanghai"),
    "AKST": ("America/Anchorage",),
    "BST": ("Europe/London",),
    "CEST": ("Europe/Berlin",),
    "EEST": ("Europe/Helsinki",),
    "MSK": ("Europe/Moscow",),
    "IST": ("Asia/Kolkata", "Europe/Dublin", "Asia/Jerusalem"),
    "JST": ("Asia/Tokyo",),
    "KST": ("Asia/Seoul",),
    "SGT": ("Asia/Singapore",),
    "HKT": ("Asia/Hong_Kong",),
    **dict.fromkeys(("AEST", "AEDT"), ("Australia/Sydney",)),
    **dict.fromkeys(("NZST", "NZDT"), ("Pacific/Auckland",)),
    "BRT": ("America/Sao_Paulo",),
    "Z": ("UTC",),
}
_OFFSET: Final = re.compile(r"(?:UTC|GMT)?\s*(?P<sign>[+-])(?P<hours>[0-9]{1,2})(?::?00)?", re.IGNORECASE)


def zone_hint(name: str) -> str:
    """What a name that is no IANA zone may have meant: a Windows name, an abbreviation, an offset; empty for any other."""
    windows = _WINDOWS.get(name.strip().lower())
    if windows is not None:
        return f"Windows' name for `{windows}`"
    places = _ABBREVIATIONS.get(name.strip().upper())
    if places is not None:
        return f"an abbreviation names no place, whose rules change with the year; write {' or '.join(f'`{place}`' for place in places)}"
    offset = _OFFSET.fullmatch(name.strip())
    if offset is not None and int(offset["hours"]) <= 12:
        # POSIX counts to the west: Etc/GMT-2 is two hours ahead of UTC.
        turned = "-" if offset["sign"] == "+" else "+"
        return f"an offset is `Etc/GMT{turned}{int(offset['hours'])}` (the sign is turned); a place such as `Europe/Berlin` follows DST"
    return ""
