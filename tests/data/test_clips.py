"""Frames of clips: which are read, what is seen on them, and what cannot be read."""

from __future__ import annotations

import os
import tracemalloc
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from drawn_clips import frames_of, save_clip
from numpy.typing import NDArray
from PIL import Image

from seqgen.data import clips
from seqgen.data.clips import read_clip
from seqgen.errors import DataError, UsageError

FORMATS = [".gif", ".webp", ".apng"]
FRAMES = frames_of("red", "right")


def plain(grey: int, size: tuple[int, int] = (16, 16)) -> NDArray[np.uint8]:
    return np.full((*size, 3), grey, np.uint8)


@pytest.mark.parametrize("ending", FORMATS)
def test_all_frames_of_a_short_clip(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{ending}"
    save_clip(path, FRAMES, **({"lossless": True} if ending == ".webp" else {}))
    clip = read_clip(str(path), 8, 16)
    assert (clip.total, clip.damaged) == (4, False)
    assert np.array_equal(clip.frames, np.stack(FRAMES))


def test_frames_are_evenly_spread_over_the_time(tmp_path: Path) -> None:
    """The first frame is shown for 7 of 10 parts: it stands in the middle of 3 of 4 quarters."""
    path = tmp_path / "a.gif"
    save_clip(path, [plain(grey) for grey in (0, 50, 100, 150, 200)], duration=[1400, 150, 150, 150, 150])
    assert read_clip(str(path), 4, 8).frames[:, 0, 0, 0].tolist() == [0, 0, 0, 150]
    assert read_clip(str(path), 5, 8).frames[:, 0, 0, 0].tolist() == [0, 50, 100, 150, 200]


def test_a_frame_that_tells_no_time_is_shown_as_browsers_show_it(tmp_path: Path) -> None:
    path = tmp_path / "a.gif"
    save_clip(path, [plain(grey) for grey in (0, 50, 100, 150)], duration=[10, 10, 100, 0])
    assert read_clip(str(path), 2, 8).frames[:, 0, 0, 0].tolist() == [50, 150]


def test_transparent_frames_lie_on_white_and_over_those_before(tmp_path: Path) -> None:
    first = np.zeros((8, 8, 4), np.uint8)
    first[:4] = (255, 0, 0, 255)
    second = np.zeros((8, 8, 4), np.uint8)
    second[4:] = (0, 0, 255, 255)
    path = tmp_path / "a.gif"
    images = [Image.fromarray(frame) for frame in (first, second)]
    images[0].save(path, save_all=True, append_images=images[1:], duration=100, disposal=2)
    frames = read_clip(str(path), 8, 8).frames
    assert frames[0, 0, 0].tolist() == [255, 0, 0]
    assert frames[0, 7, 0].tolist() == [255, 255, 255]
    assert frames[1, 7, 0].tolist() == [0, 0, 255]
    assert frames[1, 0, 0].tolist() == [255, 255, 255]  # the first was taken away


def test_a_still_image_is_one_frame(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(plain(90)[:, :, 0]).save(path)
    clip = read_clip(str(path), 8, 12)
    assert (clip.frames.shape, clip.total) == ((1, 12, 12, 3), 1)
    assert (clip.frames == 90).all()


@pytest.mark.parametrize("size", [(9, 31), (1, 1), (300, 7)])
def test_odd_sizes_are_cut_to_a_square(size: tuple[int, int], tmp_path: Path) -> None:
    path = tmp_path / "a.gif"
    save_clip(path, [plain(70, size), plain(140, size)])
    assert read_clip(str(path), 8, 16).frames.shape == (2, 16, 16, 3)


def test_a_folder_of_frames_in_natural_order(tmp_path: Path) -> None:
    for number in (1, 2, 10, 11):
        Image.fromarray(plain(number)).save(tmp_path / f"frame{number}.png")
    (tmp_path / "notes.txt").write_text("no frame")
    (tmp_path / ".hidden.png").write_bytes((tmp_path / "frame1.png").read_bytes())
    clip = read_clip(str(tmp_path), 8, 8)
    assert clip.frames[:, 0, 0, 0].tolist() == [1, 2, 10, 11]
    assert read_clip(str(tmp_path), 2, 8).frames[:, 0, 0, 0].tolist() == [2, 11]


def test_a_long_clip_takes_no_more_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.gif"
    save_clip(path, [plain(number % 250, (64, 64)) for number in range(1000)])
    tracemalloc.start()
    clip = read_clip(str(path), 4, 8)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert clip.total == 1000
    assert clip.frames[:, 0, 0, 0].tolist() == [125, 125, 125, 125]  # of 1,000: 125, 375, 625, 875
    assert most < 2**22  # all frames are 12 MB


@pytest.mark.parametrize("ending", [".gif", ".apng"])
def test_of_a_damaged_clip_the_beginning_is_read(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{ending}"
    draw = np.random.Generator(np.random.PCG64(0))
    save_clip(path, [draw.integers(0, 256, (32, 32, 3)).astype(np.uint8) for _ in range(6)])
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 3 // 5])
    clip = read_clip(str(path), 8, 8)
    assert clip.damaged
    assert 1 <= len(clip.frames) < 6


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty|neither an image"),
        (b"some text\n", "text"),
        (b"\x89PNG\r\n\x1a\n....", "no frame can be read"),
        (b"GIF89a", "no frame can be read"),
        (bytes(range(1, 255)) * 4, "neither an image"),
    ],
)
def test_what_is_no_clip_is_refused(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_clip(str(tmp_path / "a"), 8, 8)


def test_neither_a_file_nor_a_folder_of_frames(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_clip(str(tmp_path / "none.gif"), 8, 8)
    with pytest.raises(DataError, match="no such file"):
        read_clip(str(tmp_path / ("a sentence " * 100)), 8, 8)
    with pytest.raises(DataError, match="no frame can be read"):
        read_clip(str(tmp_path), 8, 8)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="pipe"):
        read_clip(str(tmp_path / "pipe"), 8, 8)


def write_video(path: Path, greys: list[int]) -> None:
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        for grey in greys:
            for packet in stream.encode(av.VideoFrame.from_ndarray(plain(grey, (32, 32)), format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)


@pytest.mark.skipif(find_spec("av") is None, reason="needs the extra video")
@pytest.mark.parametrize("ending", [".mp4", ".mkv", ".avi"])
def test_a_video_file(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{ending}"
    write_video(path, [20, 60, 100, 140, 180, 220])
    clip = read_clip(str(path), 3, 16)
    assert clip.total == 6
    assert clip.frames[:, 8, 8, 0].tolist() == pytest.approx([60, 140, 220], abs=4)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match="no frame can be read"):
        read_clip(str(path), 3, 16)


def test_a_video_needs_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clips, "find_spec", lambda name: None)
    (tmp_path / "a.mp4").write_bytes(b"\0\0\0\x18ftypisom" + bytes(100))
    with pytest.raises(UsageError) as caught:
        read_clip(str(tmp_path / "a.mp4"), 8, 8)
    assert "seqgen[video]" in caught.value.hint
