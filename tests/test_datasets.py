"""Reading data sets: what is taken, what is refused with which word, and how they are split."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from personas.events import CODE
from personas.sessions import NO_ITEM
from recommendations.evaluation.datasets import DatasetError, Split, read_dataset, split_dataset


def write(folder: Path, name: str, text: str) -> Path:
    (folder / name).write_text(text)
    return folder


def days(folder: Path, count: int = 20) -> Path:
    """One session a day; day d looks at items d and d + 1, the last day at one that no other day has too."""
    lines = ["session_id,timestamp,event_type,item_id"]
    for d in range(count):
        lines += [f"s{d},2024-03-{d + 1:02}T10:00:{k:02}Z,view_item,i{(d + k) % 7}" for k in range(2)]
    lines.append(f"s{count - 1},2024-03-{count:02}T10:01:00Z,view_item,unseen")
    return write(folder, "events.csv", "\n".join(lines))


def test_seconds_are_read_with_dwell_and_context(tmp_path: Path) -> None:
    text = (
        "session_id,timestamp,event_type,item_id,price,country,dwell_seconds\n"
        "a,2024-03-01T10:00:00Z,view_item,x,5,Poland,12\n"
        "a,2024-03-01T10:01:00Z,add_to_cart,y,,Poland,\n"
        "a,2024-03-01T10:02:00Z,search,,,Poland,\n"
    ).replace("search,,", "view,x,")
    data = read_dataset(write(tmp_path, "events.csv", text))
    assert data.log.clock == "second"
    assert data.items == ["x", "y"]
    np.testing.assert_array_equal(data.log.code, [CODE["view_item"], CODE["add_to_cart"], CODE["view_item"]])
    np.testing.assert_array_equal(data.log.dwell_s, [12.0, 60.0, np.nan])
    assert data.contexts["a"] == {"country": "Poland"}
    assert data.facts["x"].price == 5.0
    assert data.name == tmp_path.name


def test_days_keep_the_order_of_positions(tmp_path: Path) -> None:
    text = "session_id,position,timestamp,item_id\na,2,2024-03-01,y\na,1,2024-03-01,x\n"
    data = read_dataset(write(tmp_path, "events.csv", text))
    assert data.log.clock == "day"
    assert [data.items[p] for p in data.log.position] == ["x", "y"]


def test_positions_alone_order_sessions_as_the_file_does(tmp_path: Path) -> None:
    text = "session_id,position,event_type,item_id\nb,1,view_item,x\nb,2,view_item,y\na,2,view_item,y\na,1,view_item,z\n"
    data = read_dataset(write(tmp_path, "events.csv", text))
    assert data.log.clock == "order"
    assert data.log.keys.tolist() == ["b", "a"]
    assert [data.items[p] for p in data.log.position] == ["x", "y", "z", "y"]
    with pytest.raises(DatasetError, match="no time of day"):
        split_dataset(data, "days=1")
    with pytest.raises(DatasetError, match="no time of day"):
        split_dataset(data, "from=2024-01-01")


def test_bad_lines_are_told_and_the_rest_is_taken(tmp_path: Path) -> None:
    text = (
        "session_id,timestamp,event_type,item_id\n"
        "a,2024-03-01T10:00:00Z,view_item,x\n"
        "a,yesterday,view_item,x\n"
        "a,2024-03-01T10:00:00Z,dance,x\n"
        "a,2024-03-01T10:00:00Z,view_item,\n"
        "a,2024-03-01T10:00:00Z\n"
    )
    data = read_dataset(write(tmp_path, "events.csv", text))
    assert len(data.log.code) == 1
    told = [(r.file, r.reject.line, r.reject.field) for r in data.rejected]
    assert told == [
        ("events.csv", 3, "timestamp"),
        ("events.csv", 4, "event_type"),
        ("events.csv", 5, "item_id"),
        ("events.csv", 6, ""),
    ]


def test_a_file_that_breaks_off_is_an_error(tmp_path: Path) -> None:
    whole = gzip.compress(("session_id,timestamp,item_id\n" + "a,2024-03-01T10:00:00Z,x\n" * 5_000).encode())
    (tmp_path / "events.csv.gz").write_bytes(whole[:-40])
    with pytest.raises(DatasetError, match="breaks off"):
        read_dataset(tmp_path)


@pytest.mark.parametrize(
    ("text", "match"),
    [("", "is empty"), ("session_id,timestamp,item_id\n", "no event"), ("a,b\n1,2\n", "line 2: session_id is missing")],
)
def test_a_file_without_events_is_an_error(tmp_path: Path, text: str, match: str) -> None:
    with pytest.raises(DatasetError, match=match):
        read_dataset(write(tmp_path, "events.csv", text))


def test_a_folder_without_events_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="neither events.csv nor"):
        read_dataset(tmp_path)
    with pytest.raises(DatasetError, match="is not a folder"):
        read_dataset(tmp_path / "nowhere")


def names(part: Split, positions: np.ndarray) -> list[str]:
    return ["" if p == NO_ITEM else part.catalogue.external_ids[int(p)] for p in positions]


def test_last_days_are_the_test_and_unseen_items_are_out(tmp_path: Path) -> None:
    part = split_dataset(read_dataset(days(tmp_path)), "days=3")
    assert part.test is not None
    assert part.test.keys.tolist() == ["s17", "s18", "s19"]
    assert names(part, part.test.position) == ["i3", "i4", "i4", "i5", "i5", "i6"]
    assert "unseen" not in part.catalogue.id_of
    assert len(part.train) == 17
    assert part.valid is None


def test_a_date_splits_by_the_day_a_session_starts(tmp_path: Path) -> None:
    part = split_dataset(read_dataset(days(tmp_path)), "from=2024-03-16")
    assert part.test is not None
    assert len(part.test) == 5


def test_default_is_the_last_tenth_of_the_days(tmp_path: Path) -> None:
    part = split_dataset(read_dataset(days(tmp_path)))
    assert part.test is not None
    assert part.protocol == "tenth"
    assert part.test.keys.tolist() == ["s18", "s19"]


def test_the_split_column_wins_over_the_days_and_names_the_valid_part(tmp_path: Path) -> None:
    text = "session_id,timestamp,item_id,split\n"
    for s, part in enumerate(("train", "train", "valid", "test")):
        text += "".join(f"s{s},2024-03-0{s + 1}T10:00:0{k}Z,i{k},{part}\n" for k in range(3))
    part = split_dataset(read_dataset(write(tmp_path, "events.csv", text)))
    assert part.test is not None
    assert part.protocol == "column"
    assert part.test.keys.tolist() == ["s3"]
    assert part.train.keys.tolist() == ["s0", "s1", "s2"]  # the final fit uses all that is not test
    assert part.valid == {"s2"}


def test_examples_win_over_the_column(tmp_path: Path) -> None:
    text = "session_id,position,item_id,split\n" + "".join(f"{s},{k},i{k},train\n" for s in "ab" for k in range(3))
    write(tmp_path, "events.csv", text + "c,1,i9,test\nc,2,i0,test\n")
    write(tmp_path, "test_examples.csv", "prefix,target\ni0 i9 i1,i2\ni0,i9\ni9,i0\n,i0\n")
    data = read_dataset(tmp_path)
    part = split_dataset(data)
    assert part.examples == [((0, 1), 2)]  # i9 is unseen in training: out of prefixes, and no target
    assert part.test is None
    assert [(r.file, r.reject.line, r.reject.field) for r in data.rejected] == [("test_examples.csv", 5, "prefix")]
    column = split_dataset(data, "column")
    assert column.test is not None
    assert names(column, column.test.position) == ["i0"]


def test_examples_keep_the_session_that_they_name(tmp_path: Path) -> None:
    text = "session_id,position,item_id,split\n" + "".join(f"{s},{k},i{k},train\n" for s in "ab" for k in range(3))
    write(tmp_path, "events.csv", text)
    write(tmp_path, "test_examples.csv", "session_id,prefix,target\nt1,i0,i1\nt2,i0,i9\n,i1,i2\nt1,i0 i1,i2\n")
    part = split_dataset(read_dataset(tmp_path))
    assert part.examples == [((0,), 1), ((1,), 2), ((0, 1), 2)]
    assert part.ids == ("t1", "", "t1"), "of the pairs that are left"


def test_reading_tells_the_share_of_the_file_that_is_read(tmp_path: Path) -> None:
    rows = "".join(f"s{i // 3},2024-03-01T10:00:{i % 60:02},i{i % 50}\n" for i in range(50_000))
    write(tmp_path, "events.csv", "session_id,timestamp,item_id\n" + rows)
    told: list[tuple[str, float]] = []
    read_dataset(tmp_path, lambda stage, share: told.append((stage, share)))
    assert [stage for stage, _ in told] == ["reading"] * 2
    assert [share for _, share in told] == pytest.approx([0.4, 0.8], abs=0.05)


@pytest.mark.parametrize(
    "how", ["days=0", "days=x", "from=soon", "half", "column", "examples", "tenth=1", "days=99", "from=2030-01-01"]
)
def test_a_split_that_can_t_be_made_is_an_error(tmp_path: Path, how: str) -> None:
    with pytest.raises(DatasetError):
        split_dataset(read_dataset(days(tmp_path)), how)


def test_words_of_searches_and_regular_prices_are_read(tmp_path: Path) -> None:
    text = (
        "session_id,timestamp,event_type,item_id,query\n"
        "a,2024-03-01T10:00:00Z,view_item,x,\n"
        "a,2024-03-01T10:01:00Z,search,,red hat\n"
        "a,2024-03-01T10:02:00Z,view_item,y,\n"
    )
    write(tmp_path, "items.csv", "item_id,price,regular_price\nx,20,30\ny,20,\n")
    data = read_dataset(write(tmp_path, "events.csv", text))
    assert [data.log.queries[q] if q >= 0 else "" for q in data.log.query.tolist()] == ["", "red hat", ""]
    assert (data.facts["x"].regular_price, data.facts["y"].regular_price) == (30.0, None)


def test_items_give_facts_and_users_only_with_consent(tmp_path: Path) -> None:
    text = "session_id,user_id,timestamp,item_id\n" + "".join(
        f"s{u},{u},2024-03-01T10:00:0{k}Z,i{k}\n" for u in "12" for k in range(2)
    )
    write(tmp_path, "events.csv", text)
    write(tmp_path, "items.csv", "item_id,title,category,colour,price\ni0,Blue skirt,skirts,blue,20\nnew,Red hat,hats,red,x\n")
    write(tmp_path, "users.csv", "user_id,age,consent\n1,25-34,yes\n2,35-44,no\n")
    data = read_dataset(tmp_path)
    assert data.facts["i0"].title == "Blue skirt"
    assert data.contexts == {"s1": {"age": "25-34"}, "s2": {}}
    assert [(r.file, r.reject.field) for r in data.rejected] == [("items.csv", "price")]
