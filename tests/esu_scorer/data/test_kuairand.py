"""Hand-made rows in the format of KuaiRand-1K: the published column names, in the published order."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from muse_stream.esu_scorer.data.feature_table import text_id
from muse_stream.esu_scorer.data.kuairand import CLICK, KuaiRand
from muse_stream.esu_scorer.errors import DataError
from tests.esu_scorer.data.making_files import all_samples

LOG = (
    "user_id,video_id,date,hourmin,time_ms,is_click,is_like,is_follow,is_comment,is_forward,is_hate,long_view,"
    "play_time_ms,duration_ms,profile_stay_time,comment_stay_time,is_profile_enter,is_rand,tab"
)
VIDEOS = (
    "video_id,author_id,video_type,upload_dt,upload_type,visible_status,video_duration,server_width,server_height,"
    "music_id,music_type,tag"
)
USERS = (
    "user_id,user_active_degree,is_lowactive_period,is_live_streamer,is_video_author,follow_user_num,"
    "follow_user_num_range,fans_user_num,fans_user_num_range,friend_user_num,friend_user_num_range,register_days,"
    "register_days_range," + ",".join(f"onehot_feat{number}" for number in range(18))
)
BASE = 1_649_400_000_000
Exposure = tuple[int, int, int, int]  # user, video, milliseconds after the base, click


def log_line(exposure: Exposure, random: int = 0) -> str:
    user, video, after_ms, click = exposure
    return f"{user},{video},20220408,1600,{BASE + after_ms},{click},0,0,0,0,0,1,175045,87433,0,0,0,{random},1"


STANDARD = [(0, 0, 10, 1), (0, 1, 20, 0), (0, 2, 30, 1), (1, 0, 15, 1), (1, 3, 40, 0)]
LATER = [(0, 4, 100, 0), (1, 1, 90, 1)]  # the second file; its rows need no order
RANDOM = [(0, 3, 25, 1), (0, 1, 50, 0), (1, 2, 60, 1)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    data = tmp_path / "data"
    data.mkdir()
    files = {
        "log_standard_4_08_to_4_21_1k.csv": [LOG, *(log_line(row) for row in STANDARD)],
        "log_standard_4_22_to_5_08_1k.csv": [LOG, *(log_line(row) for row in LATER)],
        "log_random_4_22_to_5_08_1k.csv": [LOG, *(log_line(row, 1) for row in RANDOM)],
        "video_features_basic_1k.csv": [
            VIDEOS,
            "0,500,NORMAL,2022-04-10,LongImport,0.0,87433.0,720.0,1280.0,9155697141,9.0,39",
            '1,501,AD,2022-04-10,Kmovie,0.0,,720.0,1280.0,6355810746,9.0,"12,65"',
            "2,0,NORMAL,2022-04-09,ShortImport,0.0,9233.0,720.0,1280.0,,4.0,0",
            "3,500,NORMAL,2022-04-09,ShortImport,0.0,9233.0,720.0,1280.0,6618412736,4.0,",
        ],
        "user_features_1k.csv": [
            USERS,
            '0,full_active,0,0,0,5,"(0,10]",0,0,0,0,107,61-90,' + ",".join(["0"] * 18),
            '1,high_active,0,0,1,5,"(0,10]",6,"[1,10)",0,0,327,181-365,' + ",".join(["1.0"] * 18),
        ],
    }
    for name, lines in files.items():
        (data / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return tmp_path


def found(source: KuaiRand) -> dict[tuple[int, int], tuple[bool, tuple[int, ...]]]:
    """Label and window by user and video of the files."""
    parts = [all_samples(list(source.blocks(part))) for part in ("train", "validation", "test")]
    return {
        (sample[0] - 1, sample[1] - 1): (sample[2], tuple(item - 1 for item in sample[3]))
        for part in parts
        for sample in part
    }


def test_exposures_are_samples_and_clicks_before_them_the_window(folder: Path) -> None:
    source = KuaiRand(folder)
    assert found(source) == {
        (0, 0): (True, ()),
        (0, 1): (False, (0,)),
        (0, 2): (True, (0, 3)),  # 3 was shown at random and clicked at 25
        (1, 0): (True, ()),
        (1, 3): (False, (0,)),
        (0, 4): (False, (0, 3, 2)),
        (1, 1): (True, (0, 2)),
    }
    assert source.info.name == "kuairand-standard"
    assert sum(source.info.samples.values()) == 7
    assert source.span_ms == (BASE + 10, BASE + 100)
    assert list(source.vectors()) == []


def test_random_exposures_as_samples(folder: Path) -> None:
    source = KuaiRand(folder, exposures="random")
    assert found(source) == {(0, 3): (True, (0,)), (0, 1): (False, (0, 3, 2)), (1, 2): (True, (0,))}
    assert source.info.caveat == "exposures: random"
    assert len(KuaiRand(folder, exposures="all")._order) == 10


def test_features(folder: Path) -> None:
    source = KuaiRand(folder)
    assert source.info.spec.candidate_names == ("item", "category", "author", "video_type", "upload_type")
    block = next(source.blocks("train"))
    by_video = {row[0] - 1: row[1:] for row in block.candidate_features.tolist()}
    assert by_video[0] == [40, 501, text_id("NORMAL"), text_id("LongImport")]
    assert by_video[1] == [13, 502, text_id("AD"), text_id("Kmovie")]
    assert by_video[2] == [1, 1, text_id("NORMAL"), text_id("ShortImport")]
    assert by_video[3][0] == 0  # no tag
    user = block.user_features[block.user == 1][0].tolist()
    assert user == [1, text_id("full_active"), text_id("(0,10]"), text_id("0"), text_id("61-90")]
    assert set(block.histories.behaviours.action.tolist()) == {CLICK}


def test_vectors_of_a_file_have_the_files_video_ids(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "vectors.parquet"
    vectors = pa.array([[1, 2], [0, 0], [5, 6]], pa.list_(pa.int8()))
    pq.write_table(pa.table({"item": [0, 1, 2], "vector": vectors}), path)
    [(ids, values)] = KuaiRand(folder, vectors=path).vectors()
    assert ids.tolist() == [1, 3]
    assert values.tolist() == [[1, 2], [5, 6]]
    assert values.dtype == np.int8


def replace(folder: Path, name: str, old: str, new: str) -> Path:
    path = folder / "data" / name
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "old", "new", "says"),
    [
        (
            "log_standard_4_22_to_5_08_1k.csv",
            "is_click",
            "clicked",
            "column 'is_click' is missing; there are user_id, ",
        ),
        ("log_random_4_22_to_5_08_1k.csv", "time_ms", "time", "column 'time_ms' is missing"),
        ("video_features_basic_1k.csv", "tag", "tags", "column 'tag' is missing"),
        ("user_features_1k.csv", "user_active_degree", "degree", "column 'user_active_degree' is missing"),
        (
            "log_standard_4_08_to_4_21_1k.csv",
            "\n0,1,",
            "\n0,x,",
            "column 'video_id', line 3: CSV conversion error to int64",
        ),
        ("log_standard_4_08_to_4_21_1k.csv", "\n0,1,", "\n0,,", "column 'video_id', line 3: "),
        (
            "log_standard_4_08_to_4_21_1k.csv",
            "\n0,1,",
            "\n-1,1,",
            "column 'user_id', line 3: is -1, expected at least 0",
        ),
        (
            "log_standard_4_08_to_4_21_1k.csv",
            f"{BASE + 30},1,",
            f"{BASE + 30},3,",
            "column 'is_click', line 4: is 3, expected 0 or 1",
        ),
        (
            "log_standard_4_08_to_4_21_1k.csv",
            f"{BASE + 30}",
            "0",
            "column 'time_ms', line 4: is 0, expected at least 1",
        ),
        ("log_standard_4_08_to_4_21_1k.csv", ",0,1\n", "\n", "Expected 19 columns, got 17"),
        (
            "video_features_basic_1k.csv",
            '"12,65"',
            "music",
            "column 'tag', line 3: is 'music': expected tags as numbers",
        ),
    ],
)
def test_bad_files_are_named(folder: Path, name: str, old: str, new: str, says: str) -> None:
    path = replace(folder, name, old, new)
    with pytest.raises(DataError) as caught:
        KuaiRand(folder)
    assert str(caught.value).startswith(f"{path}: ")
    assert says in str(caught.value)


def test_missing_files_are_named(folder: Path) -> None:
    (folder / "data/user_features_1k.csv").rename(folder / "users.csv")
    with pytest.raises(
        DataError, match=r"data: no file user_features_\*\.csv found; expected the CSV files of KuaiRand-1K"
    ):
        KuaiRand(folder)
    for _ in range(2):
        (folder / "data/user_features_1k.csv").write_text(USERS + "\n", encoding="utf-8")
    (folder / "data/user_features_pure.csv").write_text(USERS + "\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"2 files user_features_\*\.csv found"):
        KuaiRand(folder)
