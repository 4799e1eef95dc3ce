"""The loss of a training as a picture: SVG from the lines of progress, written by hand. Losses have no unit (nats per token)."""

from collections.abc import Sequence
from html import escape
from typing import Any

WIDTH, HEIGHT, EDGE = 720, 320, 48
_SMOOTHED_OVER = 20  # steps; the thick line is a running mean


def svg_of(progress: Sequence[dict[str, Any]], title: str) -> str:
    """Return the picture. `progress` has `step` and `loss`; a loss that is no number is left out."""
    points = [
        (int(line["step"]), float(line["loss"])) for line in progress if isinstance(line.get("loss"), float | int)
    ]
    if not points:
        points = [(0, 0.0)]
    most = max(loss for _, loss in points) or 1.0
    last = max(step for step, _ in points) or 1
    mean = [
        (step, _mean([loss for _, loss in points[max(0, at - _SMOOTHED_OVER + 1) : at + 1]]))
        for at, (step, _) in enumerate(points)
    ]
    label = '<text x="{x}" y="{y}" font-family="sans-serif" font-size="12" text-anchor="{anchor}">{text}</text>'
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="loss over steps">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<path d="M{EDGE} {EDGE}V{HEIGHT - EDGE}H{WIDTH - EDGE}" fill="none" stroke="black"/>',
        _line(points, last, most, "#9db8d2", 1),
        _line(mean, last, most, "#1f4e79", 2),
        label.format(x=WIDTH // 2, y=EDGE // 2, anchor="middle", text=escape(title)),
        label.format(x=EDGE - 6, y=EDGE + 4, anchor="end", text=f"{most:.2f}"),
        label.format(x=EDGE - 6, y=HEIGHT - EDGE, anchor="end", text="0"),
        label.format(x=WIDTH - EDGE, y=HEIGHT - EDGE + 18, anchor="end", text=f"step {last}"),
        label.format(x=EDGE, y=HEIGHT - EDGE + 34, anchor="start", text=f"loss {points[0][1]:.3f} at first, {mean[-1][1]:.3f} at last"),
        "</svg>",
        "",
    ])  # fmt: skip


def _line(points: Sequence[tuple[int, float]], last: int, most: float, colour: str, width: int) -> str:
    across, up = WIDTH - 2 * EDGE, HEIGHT - 2 * EDGE
    drawn = " ".join(
        f"{EDGE + across * step / last:.1f},{HEIGHT - EDGE - up * loss / most:.1f}" for step, loss in points
    )
    return f'<polyline points="{drawn}" fill="none" stroke="{colour}" stroke-width="{width}"/>'


def _mean(numbers: Sequence[float]) -> float:
    return sum(numbers) / len(numbers)
