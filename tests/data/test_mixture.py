"""The sampler: shares, passes, sizes, and the same batches however the run came to this epoch."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from torch.utils.data import DataLoader

from figureground.data import Augment, Mixture, MixtureSampler, SourceSpec, Stage, build_source
from figureground.labels import LabelTree

LENGTHS, WEIGHTS = [7, 50, 3], [1.0, 4.0, 0.5]
STAGES = (Stage(start=0.5, sizes=(64,)), Stage(start=0.0, sizes=(32, 48)))


def sampler(epoch=0, **changes):
    options = {"samples": 110, "batch_size": 11, "stages": STAGES, "epochs": 4, "seed": 5, **changes}
    return MixtureSampler(options.pop("lengths", LENGTHS), options.pop("weights", WEIGHTS), epoch=epoch, **options)


def draws(**options):
    return [draw for batch in sampler(**options) for draw in batch]


@pytest.mark.parametrize("epoch", [0, 1, 3])
def test_sources_come_in_proportion_to_their_weights(epoch):
    seen = Counter(draw.source for draw in draws(epoch=epoch))
    assert seen.total() == 110
    assert seen == {0: 20, 1: 80, 2: 10}


def test_an_epoch_is_whole_batches():
    batches = list(sampler(samples=109))
    assert len(batches) == len(sampler(samples=109)) == 9
    assert {len(batch) for batch in batches} == {11}
    assert sum(sampler(samples=109).quotas) == 99


def test_a_source_of_weight_zero_never_comes():
    assert {draw.source for draw in draws(weights=[0, 1, 1])} == {1, 2}


def test_every_item_comes_before_any_comes_twice():
    """Across epochs: the passes over a source go on where the last epoch stopped."""
    items = {source: [] for source in range(3)}
    for epoch in range(6):
        counted = {source: Counter() for source in range(3)}
        for draw in draws(epoch=epoch, epochs=6):
            counted[draw.source][draw.item] += 1
            items[draw.source].append(draw.item)
        for source, length in enumerate(LENGTHS):
            total = Counter(items[source])
            assert set(total) <= set(range(length))
            whole_passes = len(items[source]) // length
            assert all(total[item] in (whole_passes, whole_passes + 1) for item in range(length))
            assert max(counted[source].values()) - min(counted[source].values()) <= 2


def test_passes_are_shuffled_anew():
    first, second = ([d.item for d in draws(epoch=e, lengths=[110], weights=[1]) if not d.source] for e in (0, 1))
    assert sorted(first) == sorted(second) == list(range(110))
    assert first != second


def test_the_same_epoch_is_the_same_whoever_draws_it():
    assert draws(epoch=2) == draws(epoch=2)
    one = sampler(epoch=2)
    assert list(one) == list(one)
    assert draws(epoch=2) != draws(epoch=1)
    assert draws(epoch=2) != draws(epoch=2, seed=6)


def test_sizes_follow_the_stages_and_are_one_per_batch():
    sizes = [{draw.size for draw in batch} for epoch in range(4) for batch in sampler(epoch=epoch)]
    assert all(len(found) == 1 for found in sizes)
    early, late = sizes[:20], sizes[20:]
    assert {size for found in early for size in found} == {32, 48}
    assert {size for found in late for size in found} == {64}


def test_every_draw_has_its_own_seed():
    seeds = [draw.seed for epoch in range(3) for draw in draws(epoch=epoch)]
    assert len(set(seeds)) == len(seeds)


@pytest.fixture
def mixture(folders):
    specs = [
        SourceSpec(name="p", images="images", masks="masks"),
        SourceSpec(name="c", kind="composite", people="people", backgrounds=("empty",)),
    ]
    sources = [build_source(spec, folders, held=False, labels=LabelTree.person()) for spec in specs]
    augment = Augment(crop_scale=(0.3, 1), flip=0.5, color=0.4, rotate=10, rotate_probability=0.5)
    return Mixture(sources, augment, LabelTree.person())


def batches(mixture, workers):
    order = sampler(lengths=[5, 2], weights=[2, 1], samples=12, batch_size=4, stages=[Stage(sizes=(24, 32))])
    return list(DataLoader(mixture, batch_sampler=order, num_workers=workers))


def test_the_number_of_workers_changes_nothing(mixture):
    torch.manual_seed(1)
    alone = batches(mixture, 0)
    torch.manual_seed(2)
    shared = batches(mixture, 2)
    assert len(alone) == len(shared) == 3
    for (image, target), (other_image, other_target) in zip(alone, shared, strict=True):
        assert image.shape[:2] == (4, 3)
        assert image.shape[2:] == target.shape[1:]
        assert torch.equal(image, other_image)
        assert torch.equal(target, other_target)


def test_making_a_sample_leaves_the_random_state_of_training_alone(mixture):
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    mixture[draws(lengths=[5, 2], weights=[1, 1])[0]]
    assert torch.equal(torch.rand(3), expected)
