"""A summary as one page that needs nothing else: no script, no picture, fit to be printed or sent."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from dalla_mqtt.log import printable
from dalla_mqtt.report.days import Moment
from dalla_mqtt.report.sizes import per_cent, size
from dalla_mqtt.report.summary import Summary, UserRow
from dalla_mqtt.report.words import MOVED_OVER, TOTAL, UNCLAIMED, is_there, notes, percent, reach, title
from dalla_mqtt.usage.quota import Standing, Used

_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }}
h1 {{ font-size: 1.4rem; }}
div {{ overflow-x: auto; }}
table {{ border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }}
th, td {{ padding: .25rem .6rem; text-align: right; white-space: nowrap; }}
th:first-child, :is(th, td):last-child {{ text-align: left; }}
tbody th {{ white-space: normal; overflow-wrap: anywhere; font-weight: 400; }}
tr.user th, tr.user td {{ border-top: 1px solid #8888; font-weight: 600; }}
tr.device th {{ padding-left: 2rem; }}
tfoot th, tfoot td {{ border-top: 2px solid; font-weight: 600; }}
meter {{ width: 8rem; }}
@media print {{ body {{ margin: 0; max-width: none; font-size: 11pt; }} tr {{ break-inside: avoid; }} }}
</style>
</head>
<body>
<h1>{title}</h1>
{body}
</body>
</html>
"""
_TABLE = """\
<div tabindex="0"><table>
<thead><tr><th scope="col">User, device</th><th scope="col">On-peak</th><th scope="col">Off-peak</th>\
<th scope="col">Total</th><th scope="col">Share</th><th scope="col">Quota</th></tr></thead>
<tbody>
{rows}
</tbody>
<tfoot>
{total}
</tfoot>
</table></div>"""


def as_html(summary: Summary, moment: Moment) -> str:
    """The whole page."""
    reached = reach(summary, moment)
    body = [f"<p>{_text(reached)}</p>"] if reached else []
    if moment.known(summary.window):
        total = _row("total", TOTAL, summary.total, per_cent(1000) if sum(summary.total) else "")
        body.append(_TABLE.format(rows="\n".join(_rows(summary)), total=total))
    body += [f"<p>{_text(note)}</p>" for note in notes(summary)]
    return _PAGE.format(title=_text(title(summary, moment)), body="\n".join(body))


def _rows(summary: Summary) -> Iterator[str]:
    for user in summary.users:
        yield from _of_user(user)
    if is_there(summary.unclaimed):
        yield _row("user", UNCLAIMED, summary.unclaimed)


def _of_user(user: UserRow) -> Iterator[str]:
    yield _row("user", user.name, user.used, per_cent(user.share), user.standing)
    for device in user.devices:
        yield _row("device", device.name, device.used, standing=device.standing)
    if is_there(user.elsewhere):
        yield _row("device", MOVED_OVER, user.elsewhere)


def _row(kind: str, name: str, used: Used, share: str = "", standing: Standing | None = None) -> str:
    figures = (*map(size, (used.on_peak, used.off_peak, sum(used))), share)
    cells = "".join(f"<td>{figure}</td>" for figure in figures)
    return f'<tr class="{kind}"><th scope="row">{_text(name)}</th>{cells}<td>{_meter(standing)}</td></tr>'


def _meter(standing: Standing | None) -> str:
    used = percent(standing) if standing is not None else None
    if used is None:
        return ""
    return f'<meter min="0" max="100" low="80" high="99" optimum="0" value="{used}">{used} %</meter> {used} %'


def _text(text: str) -> str:
    return escape(printable(text))
