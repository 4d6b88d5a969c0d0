"""Golden values of an independent implementation, on numbers that a hash of their name gives."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from figureground.errors import FiguregroundError, RecipeError
from figureground.losses import IGNORE, active_boundary, boundary, cross_entropy, focal, lovasz, soft_dice, tversky
from figureground.losses.contour import signed_distance

I = IGNORE  # noqa: E741 - as short as the numbers it stands among
TARGET = torch.tensor(
    [
        [[0, 2, I, 1], [0, 0, 2, I], [1, 0, 0, 2], [I, 1, 0, 0]],
        [[2, I, 1, 0], [0, 2, I, 1], [0, 0, 2, I], [1, 0, 0, 2]],
    ]
)


@pytest.fixture
def logits(hashed):
    """Three classes as two leaves: the background's logit is taken from all."""
    z = hashed("z", 2, 3, 4, 4, scale=8)
    return z[:, 1:] - z[:, :1]


@pytest.fixture
def binary(hashed):
    return hashed("z", 2, 3, 4, 4, scale=8)[:, :1], (TARGET == 1).long()


@pytest.mark.parametrize(
    ("loss", "options", "expected"),
    [
        (cross_entropy, {}, 2.37450895),
        (cross_entropy, {"class_weights": (1, 2, 3)}, 2.78743619),
        (cross_entropy, {"label_smoothing": 0.1}, 2.33672785),
        (lovasz, {}, 0.81496210),
        (lovasz, {"per_image": True}, 0.81714167),
    ],
)
def test_golden(logits, loss, options, expected):
    assert float(loss(logits, TARGET, **options)) == pytest.approx(expected, abs=2e-7)


def test_golden_binary(binary):
    assert float(cross_entropy(*binary)) == pytest.approx(1.38570395, abs=1e-7)
    assert float(lovasz(*binary, form="hinge")) == pytest.approx(3.23351377, abs=2e-7)
    assert float(lovasz(*binary, form="hinge", per_image=True)) == pytest.approx(3.11557543, abs=2e-7)
    assert float(soft_dice(*binary, smooth=1e-5)) == pytest.approx(0.70450037, abs=1e-7)
    assert float(soft_dice(*binary, smooth=1e-5, squared=True)) == pytest.approx(0.64859737, abs=1e-7)


def test_tversky_is_that_of_smp(logits):
    losses = pytest.importorskip("segmentation_models_pytorch.losses")
    scores = torch.cat((torch.zeros_like(logits[:, :1]), logits), 1)
    for alpha, beta in ((0.3, 0.7), (0.5, 0.5), (1.0, 1.0)):
        theirs = losses.TverskyLoss(
            "multiclass", classes=[1, 2], smooth=1.0, ignore_index=I, alpha=alpha, beta=beta, from_logits=True
        )
        ours = tversky(logits, TARGET, alpha=alpha, beta=beta)
        torch.testing.assert_close(ours, theirs(scores, TARGET))


def test_tversky_of_halves_is_dice_and_gamma_is_a_root(logits):
    dice = soft_dice(logits, TARGET, smooth=2.0)
    torch.testing.assert_close(tversky(logits, TARGET, alpha=0.5, beta=0.5, smooth=1.0), dice)
    one = logits[:, :1], TARGET.where(TARGET != 2, 0)
    rooted = tversky(*one, gamma=4 / 3)
    torch.testing.assert_close(rooted, tversky(*one) ** 0.75)


def test_lovasz_hinge_ignores_and_is_for_one_leaf(binary):
    logits, target = binary
    some = target.clone()
    some[:, 1] = I
    logits = logits.clone().requires_grad_()
    value = lovasz(logits, some, form="hinge")
    value.backward()
    assert (logits.grad[:, :, 1] == 0).all()
    kept = [0, 2, 3]
    assert value.item() == pytest.approx(float(lovasz(logits[:, :, kept], some[:, kept], form="hinge")), abs=1e-6)
    right = torch.where(target > 0, 1.5, -1.5).unsqueeze(1)
    assert float(lovasz(right, target, form="hinge")) == 0
    assert float(lovasz(logits, torch.full_like(target, I), form="hinge", per_image=True)) == 0
    with pytest.raises(RecipeError, match="for one leaf"):
        lovasz(logits.expand(-1, 2, -1, -1), target, form="hinge")
    with pytest.raises(RecipeError, match="without class weights"):
        lovasz(logits, target, form="hinge", class_weights=(1, 2))


@pytest.mark.parametrize(
    ("loss", "options", "words"),
    [
        (soft_dice, {"smooth": -1}, "smooth must be at least 0"),
        (tversky, {"alpha": -1}, "alpha must be at least 0"),
        (tversky, {"gamma": 0}, "gamma must be at least 0.01"),
        (cross_entropy, {"boundary_weight": -5}, "boundary_weight must be"),
        (cross_entropy, {"hard_share": 3}, "hard_share must be from 0 to 1"),
        (cross_entropy, {"hard_below": 0}, "hard_below must be"),
        (cross_entropy, {"label_smoothing": 2}, "label_smoothing must be"),
        (cross_entropy, {"class_weights": (0, 0, 0)}, "not all zero"),
        (focal, {"gamma": -2}, "gamma must be at least 0"),
        (active_boundary, {"reach": 0}, "reach must be at least"),
    ],
)
def test_options_out_of_range_are_refused(logits, loss, options, words):
    with pytest.raises(FiguregroundError, match=words):
        loss(logits, TARGET, **options)


def test_lovasz_of_a_hard_prediction_is_one_minus_iou():
    truth = torch.tensor([[[0, 0, 1, 1], [1, 1, 2, 2]]])
    predicted = torch.tensor([[[0, 1, 1, 1], [1, 2, 2, 0]]])
    scores = 80.0 * torch.nn.functional.one_hot(predicted, 3).movedim(-1, 1).double()
    wanted = [1 - ((truth == c) & (predicted == c)).sum() / ((truth == c) | (predicted == c)).sum() for c in range(3)]
    assert float(lovasz(scores[:, 1:] - scores[:, :1], truth)) == pytest.approx(float(sum(wanted) / 3), abs=1e-6)


@pytest.mark.parametrize("loss", [cross_entropy, soft_dice, tversky, lovasz, boundary, active_boundary])
def test_nothing_that_counts_costs_nothing(loss):
    logits = torch.randn(2, 2, 4, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    value = loss(logits, torch.full((2, 4, 4), I))
    value.backward()
    assert abs(value.item()) < 1e-6
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("loss", [cross_entropy, soft_dice, tversky, lovasz, boundary, active_boundary])
def test_ignored_pixels_get_no_gradient_and_half_precision_is_widened(logits, loss):
    logits.requires_grad_()
    loss(logits, TARGET).backward()
    own = torch.isfinite(logits.grad).all()
    assert own
    if loss is not active_boundary:  # its contour looks at a pixel's neighbours too
        assert not logits.grad.movedim(1, -1)[TARGET == I].any()
    for dtype, off in ((torch.bfloat16, 0.02), (torch.float16, 0.002)):
        half = loss(logits.detach().to(dtype), TARGET)
        assert half.dtype == torch.float32
        assert half.item() == pytest.approx(loss(logits, TARGET).item(), rel=2.5 * off, abs=off)


@pytest.mark.parametrize("loss", [cross_entropy, soft_dice, tversky, lovasz, boundary, active_boundary])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_large_half_precision_scores_have_a_finite_loss_and_gradient(loss, dtype):
    """60,000 is near the end of float16, and a few such scores squared or summed would be beyond it."""
    sure = torch.full((2, 2, 4, 4), 60000.0, dtype=dtype)
    sure[:, 1] *= -1
    sure.requires_grad_()
    value = loss(sure, TARGET)
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(sure.grad).all()


@pytest.mark.parametrize("loss", [lovasz, tversky, boundary])
def test_gradients_are_those_of_finite_differences(logits, loss):
    wide = logits[:1, :, :3, :3].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda z: loss(z, TARGET[:1, :3, :3]), (wide,), atol=1e-4)


# Hard examples


def test_hard_examples_are_those_below_the_threshold(logits):
    scores = torch.cat((torch.zeros_like(logits[:, :1]), logits), 1).log_softmax(1)
    kept = [
        -scores[n, int(TARGET[n, y, x]), y, x]
        for n, y, x in np.ndindex(2, 4, 4)
        if TARGET[n, y, x] != I and scores[n, int(TARGET[n, y, x]), y, x].exp() < 0.3
    ]
    assert 0 < len(kept) < 24
    torch.testing.assert_close(cross_entropy(logits, TARGET, hard_below=0.3), torch.stack(kept).mean())


def test_a_share_of_the_pixels_counts_however_easy():
    truth = torch.tensor([[[1, 1, 1, 0]]])
    logits = torch.tensor([[[[9.0, 5.0, 3.0, -7.0]]]])
    losses = torch.nn.functional.softplus(torch.tensor([-9.0, -5.0, -3.0, -7.0]))
    assert float(cross_entropy(logits, truth, hard_below=0.5)) == 0
    half = cross_entropy(logits, truth, hard_below=0.5, hard_share=0.5)
    torch.testing.assert_close(half, losses[[1, 2]].mean())


def test_class_weights_that_do_not_fit_are_refused(logits):
    with pytest.raises(RecipeError, match="give 3 numbers"):
        cross_entropy(logits, TARGET, class_weights=(1, 2))


@pytest.mark.parametrize("loss", [soft_dice, tversky, lovasz, boundary])
def test_class_weights_are_those_of_a_mean_over_classes(logits, loss):
    """Alone, with all the weight, each class has its own loss; any weights give the weighted mean of these."""
    own = [loss(logits, TARGET, class_weights=[float(k == only) for k in range(3)]).item() for only in range(3)]
    first = 0 if loss is lovasz else 1  # only Lovász has a loss of the background
    assert len({round(value, 6) for value in own[first:]}) == 3 - first
    assert loss(logits, TARGET).item() == pytest.approx(np.mean(own[first:]))
    weights = [5.0, 1.0, 3.0]
    expected = np.average(own[first:], weights=weights[first:])
    assert loss(logits, TARGET, class_weights=weights).item() == pytest.approx(expected)
    with pytest.raises(RecipeError, match="give 3 numbers"):
        loss(logits, TARGET, class_weights=[1.0, -1.0, 1.0])


def test_class_weights_of_the_active_boundary_loss_are_those_of_pixels():
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(1, 1, 8, 9, generator=generator)
    truth = torch.zeros(1, 8, 9, dtype=torch.int64)
    truth[:, 2:6, 3:7] = 1
    options = {"share": 0.5, "reach": 3.0}
    plain = active_boundary(logits, truth, **options)
    torch.testing.assert_close(active_boundary(logits, truth, class_weights=[2, 2], **options), plain)
    ground, person = (active_boundary(logits, truth, class_weights=w, **options) for w in ([1, 0], [0, 1]))
    mixed = active_boundary(logits, truth, class_weights=[1, 3], **options)
    # A weighted mean over pixels: three equations for two means and the share of the background's pixels.
    share = (plain - person) / (ground - person)
    assert 0 < share < 1
    torch.testing.assert_close(mixed, (share * ground + 3 * (1 - share) * person) / (share + 3 * (1 - share)))


# Contours


def test_the_distance_inside_goes_to_background_that_is_known():
    mask = np.zeros((7, 8), bool)
    mask[1:6, 0:4] = True
    known = np.ones_like(mask)
    known[:, 4:6] = False  # between the mask and the background at its right
    known[0, :] = False
    outer = np.argwhere(~mask & known)
    inner = np.argwhere(mask)
    for row, column in np.ndindex(mask.shape):
        to_outer = np.sqrt(((outer - (row, column)) ** 2).sum(1).min())
        to_inner = np.sqrt(((inner - (row, column)) ** 2).sum(1).min())
        expected = 1 - to_outer if mask[row, column] else to_inner
        assert signed_distance(mask, known)[row, column] == pytest.approx(expected, abs=1e-6)
    assert not signed_distance(mask, mask).any()


def test_the_border_of_an_ignored_area_is_no_contour():
    """A person who fills the picture but for what nobody has marked: there is no contour to be drawn to."""
    truth = torch.ones(1, 8, 8, dtype=torch.int64)
    truth[:, :, 5:] = I
    logits = torch.randn(1, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    assert boundary(logits, truth).item() == 0
    assert active_boundary(logits, truth, share=0.5).item() == 0
    truth[:, :, 7:] = 0
    assert boundary(logits, truth).item() != 0


def test_the_signed_distance_of_a_square(hashed):
    mask = np.zeros((6, 6), bool)
    mask[1:4, 2:5] = True
    assert signed_distance(mask)[2].tolist() == [2, 1, 0, -1, 0, 1]
    assert not signed_distance(~np.zeros((3, 3), bool)).any()
    z = hashed("bd", 6, 6, scale=6)
    value = boundary(z[None, None], torch.from_numpy(mask).long()[None], normalised=False)
    assert float(value) == pytest.approx(0.53445835, abs=1e-7)


def test_the_boundary_loss_is_least_at_the_truth():
    mask = torch.zeros(1, 8, 8, dtype=torch.int64)
    mask[:, 2:6, 2:6] = 1
    right = (mask * 2.0 - 1).unsqueeze(1) * 20
    moved = right.roll(2, -1)
    assert boundary(right, mask) < boundary(moved, mask) < boundary(-right, mask)


@pytest.mark.parametrize(("start", "sign"), [(25.0, 1), (20.0, 1), (12.0, -1), (7.0, -1)])
def test_the_active_boundary_loss_draws_a_step_to_the_true_contour(start, sign):
    columns = torch.arange(32.0)
    truth = (columns >= 16).long().expand(1, 32, 32).contiguous()
    place = torch.tensor(start, requires_grad=True)
    scores = ((columns - place) * 1.5).clamp(-4, 4).expand(1, 1, 32, 32)
    active_boundary(scores, truth, share=0.1).backward()
    assert place.grad.item() * sign > 0


def test_targets_of_whole_people_need_the_losses_of_the_tree(logits):
    with pytest.raises(RecipeError, match="tree_dice"):
        soft_dice(logits, TARGET + (TARGET == 2) * 3)
