"""A state in a browser: what is drawn is what the API says."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.page.conftest import PHONE, Looker

Look = Callable[..., Looker]
SCENARIOS = ("crossing", "cologne8")


def _outcomes(looker: Looker, state: dict[str, Any], tls_id: str, **more: str) -> dict[str, Any]:
    query = "&".join(f"{name}={value}" for name, value in {"tls_id": tls_id, **more}.items())
    path = f"/v1/states/{quote(state['state_id'])}/outcomes?{query}"
    found: dict[str, Any] = looker.service.get(path)
    return found


def _number(value: float, decimals: int) -> str:
    text = f"{abs(value):.{decimals}f}"
    return "−" + text if value < 0 and float(text) else text


def _signal(looker: Looker) -> str:
    return str(looker.page.locator("label:has-text('Signal') select").input_value())


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_rows_are_the_outcomes(look: Look, scenario: str) -> None:
    """Every legal decision, best first, with the API's reward, queue and regret."""
    looker = look()
    state = looker.state(scenario)
    told = _outcomes(looker, state, _signal(looker))
    rows = [row.split("\t") for row in looker.texts("tbody tr")]
    shown = [[cell.strip() for cell in row[1:4]] for row in rows]
    wanted = [
        [_number(one["reward"], 3), _number(one["metrics"]["queue_veh"], 2)]
        for one in (*told["outcomes"], told["reference"])
    ]
    assert [row[:2] for row in shown] == wanted
    regrets = [_number(one["regret"], 3) for one in told["outcomes"]]
    assert [row[2] for row in shown[:-1]] == regrets


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_futures_run_in_step(look: Look, scenario: str) -> None:
    """At any second both tell the queue that the API tells of that second."""
    looker = look()
    state = looker.state(scenario, 1)
    told = _outcomes(looker, state, _signal(looker), trace="true")["outcomes"]
    curves = [one["trace"]["queue_veh"] for one in (told[0], told[-1])]
    for second in (1, 17, 60):
        looker.seek(second)
        assert looker.texts(".count") == [f"{curve[second - 1]} queueing" for curve in curves]
    assert looker.texts(".now")[0].startswith("+60.0 s")


def test_vehicles_are_drawn_where_they_are(look: Look) -> None:
    """Where a vehicle stands there is its colour, on the canvas and nowhere beside the roads."""
    looker = look()
    state = looker.state("crossing", 4)
    trace = _outcomes(looker, state, "c", trace="true")["outcomes"][0]["trace"]
    looker.seek(0)
    standing = [
        trace["frames"][0][i : i + 5]
        for i in range(0, len(trace["frames"][0]), 5)
        if trace["frames"][0][i + 4] == 0
    ]
    assert standing, "this state has a queue"
    pixels = looker.page.evaluate(
        """vehicles => { const canvas = document.querySelector('canvas.scene');
        const pen = canvas.getContext('2d'); const box = canvas.getBoundingClientRect();
        const ratio = canvas.width / box.width;
        const scale = Math.min(box.width, box.height) / 140.8;
        return vehicles.map(([, x, y, angle]) => {
          const turn = angle * Math.PI / 180, back = 2;
          const at = [x / 10 - Math.sin(turn) * back, y / 10 - Math.cos(turn) * back];
          const px = canvas.width / 2 + (at[0] - 300) * scale * ratio;
          const py = canvas.height / 2 - (at[1] - 300) * scale * ratio;
          return [...pen.getImageData(Math.round(px), Math.round(py), 1, 1).data].slice(0, 3);
        }); }""",
        [one for one in standing if abs(one[1] - 3000) < 600 and abs(one[2] - 3000) < 600],
    )
    assert pixels
    assert {tuple(pixel) for pixel in pixels} == {(0x9C, 0x2F, 0x24)}


def test_heads_show_their_colours(look: Look) -> None:
    """Each stop line has the colours of its links' letters, also after the signal has changed."""
    looker = look()
    state = looker.state("crossing", 4)
    trace = _outcomes(looker, state, "c", trace="true")["outcomes"][0]["trace"]
    geometry = looker.service.get(f"/v1/scenarios/{state['scenario_id']}/geometry?tls_id=c")
    colours = {"G": (0x1F, 0x9D, 0x58), "g": (0x1F, 0x9D, 0x58), "y": (0xE0, 0xA1, 0)}
    for second in (0, 30):
        looker.seek(second)
        letters = trace["signals"]["c"][second]
        lines = [
            (line["ends"], link, i, len(line["links"]))
            for line in geometry["stop_lines"]
            for i, link in enumerate(line["links"])
        ]
        seen = looker.page.evaluate(
            """lines => { const canvas = document.querySelector('canvas.scene');
            const pen = canvas.getContext('2d'); const box = canvas.getBoundingClientRect();
            const ratio = canvas.width / box.width;
        const scale = Math.min(box.width, box.height) / 140.8;
            return lines.map(([[x0, y0, x1, y1],, i, n]) => {
              const share = (i + 0.5) / n, x = x0 + (x1 - x0) * share, y = y0 + (y1 - y0) * share;
              const px = canvas.width / 2 + (x - 300) * scale * ratio;
              const py = canvas.height / 2 - (y - 300) * scale * ratio;
              return [...pen.getImageData(Math.floor(px), Math.floor(py), 1, 1).data].slice(0, 3);
            }); }""",
            lines,
        )
        free = _free_of_vehicles(trace["frames"][second], lines)
        assert len(free) > 4
        for i in free:
            wanted = colours.get(letters[lines[i][1]], (0xC8, 0x37, 0x2D))
            assert tuple(seen[i]) == wanted, (second, lines[i])


def _free_of_vehicles(frame: list[int], lines: list[Any]) -> list[int]:
    """The lines over which no vehicle is drawn."""

    def is_free(ends: list[float]) -> bool:
        x, y = (ends[0] + ends[2]) / 2, (ends[1] + ends[3]) / 2
        for i in range(0, len(frame), 5):
            turn = math.radians(frame[i + 3])
            dx, dy = x - frame[i + 1] / 10, y - frame[i + 2] / 10
            ahead = dx * math.sin(turn) + dy * math.cos(turn)
            aside = abs(dx * math.cos(turn) - dy * math.sin(turn))
            if -7 < ahead < 1 and aside < 3:
                return False
        return True

    return [i for i, (ends, *_) in enumerate(lines) if is_free(ends)]


def test_another_pair(look: Look) -> None:
    """Two decisions are picked, with the keyboard too, and shown."""
    looker = look()
    looker.state("crossing", 4, "?kind=phase")
    rows = looker.page.locator("tbody tr")
    words = looker.texts("tbody tr td:first-child")
    assert len(words) > 10
    for place, letter in ((3, "b"), (2, "a")):
        rows.nth(place).locator(f".pick.{letter}").focus()
        looker.page.keyboard.press("Enter")
        looker.page.wait_for_function(
            "([letter, text]) =>"
            " document.querySelector(`.future.${letter} strong`).innerText === text",
            arg=[letter, words[place]],
        )
    assert looker.texts(".future strong") == [words[2], words[3]]


@pytest.mark.parametrize("scope", ["score", "read"])
def test_left_alone(look: Look, scope: str) -> None:
    """What the program does without a decision is a future like others."""
    looker = look(scope=scope)
    state = looker.state("crossing", 4)
    looker.page.get_by_role("button", name="Show as B: left alone").click()
    looker.page.wait_for_selector(".future.b strong:has-text('left alone')")
    told = _outcomes(looker, state, "c", reference_trace="true")["reference"]
    looker.seek(40)
    assert looker.texts(".count")[1] == f"{told['trace']['queue_veh'][39]} queueing"
    assert _number(told["metrics"]["queue_veh"], 2) in looker.texts(".future.b .note")[0]


def test_keyboard_steps_and_plays(look: Look) -> None:
    """Arrows step by a second; play runs to the end by itself."""
    looker = look()
    looker.state("crossing")
    looker.page.locator(".player button.primary").focus()
    looker.page.keyboard.press("ArrowRight")
    looker.page.wait_for_function(
        "() => document.querySelector('.now').innerText.startsWith('+1.0 s')"
    )
    looker.page.locator(".player .controls select").select_option("10")
    looker.page.keyboard.press("Enter")
    looker.page.wait_for_function(
        "() => document.querySelector('.now').innerText.startsWith('+60.0 s')", timeout=30_000
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"extend": "no"}', ["Read as\nEnd the green", "Legal\nyes"]),
        ("I would keep it green.", ["Read as\nno decision", "Legal\nno:", "Reward\n−1.000"]),
    ],
    ids=["legal", "prose"],
)
def test_completion(look: Look, text: str, said: list[str]) -> None:
    """The box tells how a text is read, whether that is legal, and its reward."""
    looker = look()
    looker.state("crossing")
    looker.page.locator("textarea").fill(text)
    looker.page.locator("form button").click()
    looker.page.wait_for_selector(".answer dl")
    (answer,) = looker.texts(".answer")
    for words in said:
        assert words in answer


def test_prompt_is_the_rows(look: Look, dataset_of: Callable[[str], Path]) -> None:
    """What the model would read, letter by letter."""
    looker = look()
    state = looker.state("crossing")
    folder = dataset_of("crossing")
    lines = [*_lines(folder / "train.jsonl"), *_lines(folder / "eval.jsonl")]
    (row,) = [row for row in lines if row["state_id"] == state["state_id"]]
    shown = [pre.text_content() for pre in looker.page.locator(".message pre").all()]
    assert shown == [message["content"] for message in row["prompt"]]


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_key_that_may_only_look(look: Look) -> None:
    """The scope `read` shows both futures; the box says what it lacks."""
    looker = look(scope="read")
    looker.state("crossing")
    assert len(looker.texts(".count")) == 2
    looker.page.locator("form button").click()
    looker.page.wait_for_selector(".answer p")
    assert "scope score" in looker.texts(".answer")[0]


@pytest.mark.parametrize("ending", ["PNG", "SVG", "HTML"])
def test_export(look: Look, ending: str, tmp_path: Path) -> None:
    """What is shown is saved; the page opens without a server and shows the same."""
    looker = look()
    looker.state("crossing", 4)
    looker.seek(25)
    with looker.page.expect_download() as saved:
        looker.page.get_by_role("button", name=ending, exact=True).click()
    path = tmp_path / saved.value.suggested_filename
    saved.value.save_as(path)
    content = path.read_bytes()
    if ending == "PNG":
        assert content.startswith(b"\x89PNG")
    elif ending == "SVG":
        text = content.decode()
        assert text.count("<rect") > 20
        assert "A  End the green" in text or "A  Extend by 5 s" in text
    else:
        alone = looker.page.context.new_page()
        alone.goto(path.as_uri())
        alone.wait_for_selector("canvas.scene")
        assert alone.locator(".future strong").all_inner_texts() == looker.texts(".future strong")
        alone.close()


def test_on_a_phone(look: Look) -> None:
    """Nothing is wider than the screen, and everything is there."""
    looker = look(size=PHONE)
    looker.state("crossing")
    assert looker.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert looker.page.locator("canvas.scene").count() == 2
