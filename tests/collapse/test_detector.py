"""Every verdict from a series that deserves it, and the series' prefixes as it was read."""

from __future__ import annotations

import math

import pytest

from ganlib.collapse import Following, Null, detect, verdicts
from ganlib.collapse.null import SCALES
from ganlib.config import DetectorConfig, overlay
from ganlib.errors import ConfigError

NAMES = ("pixels/neighbour_distance", "pixels/coverage")
NULL = Null(dict.fromkeys(NAMES, 0.0), dict.fromkeys(NAMES, 0.0))
EVERY = 100


def series(*scores, cover=None, **more):
    """Readings whose neighbour distance scores so, each 100 images."""
    unit = SCALES["variance"].tolerance
    return [
        (
            EVERY * (n + 1),
            {
                "pixels/neighbour_distance": math.exp(unit * score),
                "pixels/coverage": math.exp(unit * (cover[n] if cover else score)),
                **{name.replace("_", "/", 1): values[n] for name, values in more.items()},
            },
        )
        for n, score in enumerate(scores)
    ]


# The series below fall by multiples of this alarm, whatever the default is.
FOUR = DetectorConfig(alarm=4.0, release=2.5)


def states(readings, null=NULL, config=FOUR):
    return [verdict.state for verdict in verdicts(readings, null, config)]


GOOD = (-9, -7, -5, -3, -1, -0.5, -0.5)


def test_nothing_read_is_warming_up():
    assert detect([]).state == "warming_up"


def test_a_generator_that_comes_up_is_warming_up_and_then_healthy():
    assert states(series(*GOOD)) == ["warming_up"] * 3 + ["healthy"] * 4


def test_a_fall_is_suspected_and_then_collapsed_since_its_beginning():
    found = list(verdicts(series(*GOOD, -6, -7, -7), NULL))
    assert [verdict.state for verdict in found[-4:]] == [
        "healthy",
        "suspect",
        "collapsed",
        "collapsed",
    ]
    assert found[-1].since == 800
    assert found[-1].signals == NAMES
    assert str(found[-1]) == (
        "collapsed (pixels/neighbour_distance, pixels/coverage) since 800 images"
    )


def test_one_bad_reading_is_no_collapse():
    assert states(series(*GOOD, -6, -1, -6, -1))[-4:] == ["suspect", "healthy"] * 2


def test_a_fall_is_from_the_best_not_from_real_images():
    mediocre = (-9, -8, -7, -6, -5, -4, -3.5, -3.5)
    assert states(series(*mediocre, -8, -8))[-1] == "collapsed"
    assert states(series(*mediocre, -5, -5))[-1] != "collapsed"


def test_what_never_comes_up_is_collapsed_after_the_grace():
    found = states(series(-9, -10, -10, -9.5, -9.5, -10))
    assert found == ["warming_up"] * 4 + ["collapsed"] * 2


def test_what_comes_up_slowly_is_not():
    slow = [-12 + 0.4 * n for n in range(20)]
    assert set(states(series(*slow))) == {"warming_up"}


def test_what_becomes_like_real_images_is_warming_up_though_not_more_varied():
    cover = [-20, -18, -16, -14, -12, -10, -9.8, -9.7, -9.6, -9.6]
    found = states(series(*[-9.5] * 10, cover=cover))
    assert found == ["warming_up"] * 4 + ["suspect"] * 5 + ["collapsed"]


def test_what_becomes_like_real_images_while_variety_sinks_is_a_collapse():
    """One image of each class: each is better and better, and there are ever fewer."""
    cover = [-20, -18, -16, -14, -12, -10]
    found = states(series(-8, -9, -10, -10.5, -11, -11.5, cover=cover))
    assert found == ["warming_up"] * 4 + ["collapsed"] * 2


def test_low_likeness_alone_is_no_collapse():
    """A generator of noise is varied and like nothing."""
    assert "collapsed" not in states(series(*[0.5] * 9, cover=[-15] * 9))


def test_hysteresis_and_recovery():
    fallen = series(*GOOD, -6, -6, -3, -3, -2, -1, -1, -1)
    assert states(fallen)[7:] == ["suspect"] + ["collapsed"] * 5 + ["recovered"] * 2
    assert states(series(*GOOD, -6, -6, -2, -1, -6, -2, -1, -1))[8:] == ["collapsed"] * 6 + [
        "recovered"
    ]
    assert states(series(*GOOD, -6, -6, -1, -1, -1, -6, -6))[-3:] == [
        "recovered",
        "suspect",
        "collapsed",
    ]


def test_what_is_not_finite_has_diverged_for_good():
    readings = series(*GOOD[:4], losses_generator=[1.0, math.nan, 1.0, 1.0])
    assert states(readings) == ["warming_up"] + ["diverged"] * 3
    verdict = detect(readings, NULL, FOUR)
    assert (verdict.signals, verdict.since) == (("losses/generator",), 200)


@pytest.mark.parametrize(("rate", "state"), [(1.0, "stalled"), (0.5, "stalled"), (0.7, "suspect")])
def test_a_player_that_has_won_stalls(rate, state):
    low = [-9, -7, -6, -6, -6, -6, -6, -6]
    assert states(series(*low, play_win_rate=[rate] * 8))[-1] == state


def test_a_distance_half_as_much_again_as_its_best_is_a_fall():
    fid = [90.0, 40, 20, 25, 29, 31, 31]
    found = list(verdicts([(n, {"distance/fid": x}) for n, x in enumerate(fid)], config=FOUR))
    assert [verdict.state for verdict in found] == ["healthy"] * 5 + ["suspect", "collapsed"]
    assert found[-1].since == 5


def test_losses_tell_where_nothing_else_is_read():
    loss = [1 + 0.1 * (n % 5) for n in range(100)]
    jump = loss + [3.0] * 5
    readings = [(n, {"losses/discriminator": x}) for n, x in enumerate(jump)]
    assert states(readings)[-1] == "collapsed"
    assert states(readings[:-1])[-1] != "collapsed"
    wandering = [(n, {"losses/generator": x}) for n, x in enumerate(jump)]
    assert states(wandering)[-1] == "healthy"


def test_losses_make_one_fall_enough():
    loss = [1 + 0.1 * (n % 5) for n in range(100)]
    readings = [(n, {"losses/discriminator": x}) for n, x in enumerate(loss)]
    readings += [(100, {"distance/fid": 10.0})]
    odd = [(101 + n, {"losses/discriminator": 3.0}) for n in range(5)]
    high = [(200, {"distance/fid": 16.0})]
    assert states(readings + odd)[-1] != "collapsed"
    assert states(readings + high)[-1] == "suspect"
    assert states(readings + odd + high)[-1] == "collapsed"


def test_what_is_said_does_not_depend_on_what_comes_after():
    readings = series(*GOOD, -6, -7, -2, -1, -1, -6, -6)
    said = list(verdicts(readings, NULL))
    assert said == [detect(readings[: n + 1], NULL) for n in range(len(readings))]


def test_a_series_that_grows_or_is_cut_is_followed():
    readings = series(*GOOD, -6, -7, -2, -1, -1, -6, -6)
    following, said = Following(NULL), list(verdicts(readings, NULL))
    for end in (3, 4, 9, len(readings), 6):
        assert following.of(readings[:end]) == said[:end]
    other = series(*GOOD[:4], -20, -20)
    assert following.of(other) == list(verdicts(other, NULL))
    assert following.of([]) == []


def test_patience_and_alarm_are_settings():
    fallen = series(*GOOD, -6, -6, -6)
    assert states(fallen, config=overlay(FOUR, {"patience": 3}))[-2:] == ["suspect", "collapsed"]
    assert states(fallen, config=DetectorConfig(alarm=7))[-1] != "collapsed"
    with pytest.raises(ConfigError, match="release is 6 and alarm 5"):
        overlay(DetectorConfig(), {"release": 6.0})


def test_a_class_that_never_comes_is_a_collapse():
    """Its share ends at 0, where other signals fall without end; a rare one may come late."""
    name = "classes/least_share"
    null = Null({name: 0.7}, {name: 0.1})
    shares = [0.0] * 16
    found = states([(100 * n, {name: share}) for n, share in enumerate(shares)], null)
    assert found == ["warming_up"] * 12 + ["collapsed"] * 4
    learnt = [0.0, 0.0, 0.0, 0.1, 0.4, 0.6, 0.7, 0.7]
    found = states([(100 * n, {name: share}) for n, share in enumerate(learnt)], null)
    assert found[-1] == "healthy"


def within(*scores, names=("pixels/neighbour_distance", "classes/spread")):
    """Readings of which each signal named scores so, and what they are among real images."""
    scale = SCALES["spread"].tolerance
    readings = [
        (EVERY * (n + 1), {name: math.exp(scale * score) for name in names})
        for n, score in enumerate(scores)
    ]
    return readings, Null(dict.fromkeys(names, 0.0), dict.fromkeys(names, 0.0))


def test_what_all_are_a_little_below_is_told_by_their_mean():
    series, null = within(*GOOD, -2.8, -2.8)
    verdict = detect(series, null, FOUR)
    assert (verdict.state, verdict.signals) == ("collapsed", ("joint/within",))
    assert verdict.since == EVERY * (len(GOOD) + 1)
    alone, null = within(*GOOD, -2.8, -2.8, names=NAMES[:1])
    assert detect(alone, null, FOUR).state == "healthy"
    assert detect(series, null, overlay(FOUR, {"joint_alarm": 3.0})).state == "healthy"


def test_variety_that_is_low_for_long_is_a_collapse_unless_it_comes_up():
    low, null = within(*[-9, -7, -4], *[-3.5] * 7)
    assert [v.state for v in verdicts(low, null, FOUR)].index("collapsed") == 8
    rising, _ = within(*(-4 + 0.2 * n for n in range(12)))
    assert "collapsed" not in [v.state for v in verdicts(rising, null, FOUR)]


def test_a_fall_of_twice_the_alarm_is_told_at_once():
    series, null = within(*GOOD, -4.6)
    assert detect(series, null, FOUR).state == "collapsed"


def test_a_single_reading_without_a_class_is_chance():
    names = ("classes/least_share", "classes/entropy")
    null = Null(dict.fromkeys(names, 0.8), dict.fromkeys(names, 0.0))
    shares = [0.8] * 6 + [0.0] + [0.8] * 3
    series = [(n, {names[0]: share, names[1]: 0.8}) for n, share in enumerate(shares)]
    assert {v.state for v in verdicts(series, null)} <= {"healthy", "suspect"}
    gone = [(n, {names[0]: share, names[1]: 0.8}) for n, share in enumerate([0.8] * 6 + [0.0] * 4)]
    assert detect(gone, null).state == "collapsed"


def test_a_class_that_is_gone_for_good_is_told_where_no_reading_is_sure():
    names = ("classes/least_share", "classes/entropy")
    null = Null(dict.fromkeys(names, 0.8), dict.fromkeys(names, 0.0))
    dropped = [0.8, 0.7, 0.9, 0.8] * 4 + [0.4, 0.5, 0.3, 0.4] * 4
    series = [(n, {names[0]: share, names[1]: 0.75}) for n, share in enumerate(dropped)]
    verdict = detect(series, null)
    assert (verdict.state, verdict.signals) == ("collapsed", ("joint/shares",))
    assert detect(series[:18], null).state == "healthy"
