from __future__ import annotations

import hashlib

from seqgen.seeds import derive, fresh


def test_a_seed_is_the_hash_of_its_place() -> None:
    # 64 bits of BLAKE2b over the place in words, of which 63 stay. Old runs resume only while this holds.
    expected = int.from_bytes(hashlib.blake2b(b"7/step/120", digest_size=8).digest(), "big") >> 1
    assert derive(7, "step", 120) == expected


def test_a_seed_fits_into_63_bits() -> None:
    seeds = [derive(0, "x", i) for i in range(2000)]
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert max(seeds) >= 2**62


def test_every_place_has_its_own_seed() -> None:
    paths: list[tuple[str | int, ...]] = [(), ("step", 1), ("step", 2), ("stream", 1), ("step", 12)]
    assert len({derive(seed, *path) for seed in range(20) for path in paths}) == 100


def test_neighbours_are_unrelated() -> None:
    # Of 63 bits about half differ between neighbours; over 200 pairs the mean lies close to 31.5.
    differing = [(derive(0, "step", i) ^ derive(0, "step", i + 1)).bit_count() for i in range(200)]
    assert 30 < sum(differing) / len(differing) < 33


def test_a_fresh_seed_is_new_and_short() -> None:
    seeds = {fresh() for _ in range(20)}
    assert len(seeds) > 15
    assert all(0 <= seed < 2**31 for seed in seeds)
