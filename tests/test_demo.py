"""``core demo``: its numbers on every backend, its goals, its picture, and what it says when something is wrong."""

import warnings

import numpy as np
import pytest

from core.demo import data, report
from core.demo import main as command
from core.demo.by_hand import ByHand
from core.demo.main import main
from core.demo.models import LOGISTIC_REGRESSION, MLP, MODELS, build
from core.demo.train import Result, train
from core.errors import BackendError, CoreError, CoreWarning, DTypeError, ShapeError
from core.testing import available_backends

SEED = 0
SHORT = ["--backend", "interpreter", "--epochs", "1", "--no-plot"]


@pytest.fixture(scope="module")
def digits():
    return data.digits(SEED)


@pytest.fixture(scope="module")
def small_file(tmp_path_factory):
    """Two well separated classes, as a file that the demo takes."""
    rng = np.random.default_rng(1)
    path = tmp_path_factory.mktemp("data") / "small.npz"
    y = rng.integers(0, 2, 100)
    np.savez(path, x=rng.normal(size=(100, 3)) + 5 * y[:, None], y=np.array(["no", "yes"])[y])
    return path


def start_of(model, examples):
    return model.start(examples.train_x.shape[1], examples.classes, SEED)


def losses_of(step, examples, epochs):
    rng = np.random.default_rng(SEED)
    return np.array([float(step(x, y)) for _ in range(epochs) for x, y in examples.batches(64, rng)])


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
@pytest.mark.parametrize("backend", available_backends())
def test_losses_equal_those_of_the_interpreter_and_of_numpy(model, backend, digits):
    start = start_of(model, digits)
    losses = losses_of(build(model, start, backend).step, digits, epochs=3)
    np.testing.assert_allclose(
        losses, losses_of(build(model, start, "interpreter").step, digits, 3), rtol=0, atol=1e-10
    )
    np.testing.assert_allclose(losses, losses_of(ByHand(model, start).step, digits, 3), rtol=0, atol=1e-10)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
@pytest.mark.parametrize("backend", available_backends())
def test_both_models_reach_their_goals(model, backend, digits):
    result = train(model, digits, epochs=20, seed=SEED, backend=backend)
    assert result.accuracy >= model.goal
    assert result.backend == backend
    assert result.agrees


def test_the_goals_are_those_of_the_readme():
    assert (LOGISTIC_REGRESSION.goal, MLP.goal) == (0.94, 0.96)


def test_training_and_test_examples_are_disjoint_and_scaled(digits):
    assert len(digits.train_x) + len(digits.test_x) == 1797
    assert digits.train_x.min() == 0.0 and digits.train_x.max() == 1.0
    assert digits.classes == 10 and set(digits.test_y) == set(range(10))
    rows = {row.tobytes() for row in digits.train_x}
    assert not any(row.tobytes() in rows for row in digits.test_x)


def test_an_epoch_visits_every_training_example_once(digits):
    batches = list(digits.batches(64, np.random.default_rng(SEED)))
    assert [len(x) for x, _ in batches] == [64] * 22 + [30]
    assert sorted(np.concatenate([y for _, y in batches])) == sorted(digits.train_y)


def test_the_demo_reports_what_it_did(capsys, tmp_path):
    picture = tmp_path / "curves.png"
    status = main(["--backend", "interpreter", "--epochs", "20", "--output", str(picture)])
    said = capsys.readouterr().out
    assert status == 0
    assert picture.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    for words in ("plugins", "interpreter", "test accuracy", "time to compile", "times as fast as NumPy", str(picture)):
        assert words in said


def test_a_missed_goal_is_a_failure(capsys):
    status = main(["--backend", "interpreter", "--epochs", "1", "--no-plot"])
    assert status == 1
    assert "MLP with 128 tanh units: test accuracy" in capsys.readouterr().err


def test_losses_that_differ_are_a_failure():
    for difference in (1e-7, float("nan")):
        result = Result(MLP, "c", "plugin-backend-c 0.1.0", 0.1, accuracies=[1.0], difference=difference)
        (sentence,) = report.failures([result], goals=True)
        assert "losses differ from NumPy's by" in sentence


def test_an_unknown_backend_is_said():
    with pytest.raises(BackendError, match=r"there is no backend 'nonsense'; there are .*interpreter"):
        main(["--backend", "nonsense", "--no-plot"])


def test_a_file_of_ones_own_is_trained_on(small_file, capsys):
    assert main([*SHORT, "--data", str(small_file)]) == 0
    said = capsys.readouterr().out
    assert "80 examples of 3 numbers to train on, 20 to test on" in said
    assert "goal" not in said


def test_warnings_become_notes(capsys):
    with report.notes(report.console()):
        warnings.warn("no compiling backend works here", CoreWarning, stacklevel=1)
    assert capsys.readouterr().out == "note     no compiling backend works here\n"


def test_missing_packages_name_the_extra(monkeypatch):
    monkeypatch.setattr(command, "find_spec", lambda name: None)
    with pytest.raises(
        CoreError, match=r"needs scikit-learn, rich, matplotlib, not installed here: pip install 'core\[demo\]'"
    ):
        main([])


def test_packages_that_are_not_used_are_not_asked_for(monkeypatch, small_file):
    monkeypatch.setattr(command, "find_spec", lambda name: None if name in ("sklearn", "matplotlib") else object())
    assert main([*SHORT, "--data", str(small_file)]) == 0


def test_an_output_that_cannot_be_written_is_said_before_training(tmp_path):
    with pytest.raises(CoreError, match=r"--output .* needs an existing folder, got .*nowhere"):
        main(["--output", str(tmp_path / "nowhere" / "curves.png")])
    with pytest.raises(CoreError, match="--output needs a file that can be written, got"):
        main(["--output", str(tmp_path)])


@pytest.mark.parametrize("option, text", [("--epochs", "0"), ("--epochs", "many"), ("--seed", "-1")])
def test_numbers_out_of_range_are_wrong_usage(option, text, capsys):
    with pytest.raises(SystemExit, match="2"):
        main([f"{option}={text}"])
    assert f"needs a whole number of at least {int(option == '--epochs')}, got {text!r}" in capsys.readouterr().err


def test_data_that_cannot_be_read_is_said(tmp_path):
    with pytest.raises(CoreError, match=r"missing\.npz cannot be read as an \.npz file: .*No such file"):
        data.from_file(tmp_path / "missing.npz", SEED)
    (tmp_path / "text.npz").write_text("not an archive")
    with pytest.raises(CoreError, match=r"text\.npz cannot be read as an \.npz file"):
        data.from_file(tmp_path / "text.npz", SEED)
    np.save(tmp_path / "one.npy", np.zeros(3))
    with pytest.raises(CoreError, match=r"one\.npy cannot be read as an \.npz file"):
        data.from_file(tmp_path / "one.npy", SEED)


def test_data_without_x_or_y_are_said(tmp_path):
    np.savez(tmp_path / "other.npz", images=np.zeros((20, 2)))
    with pytest.raises(CoreError, match=r"other\.npz needs arrays named x and y, got images"):
        data.from_file(tmp_path / "other.npz", SEED)


@pytest.mark.parametrize("x, y", [((20,), (20,)), ((20, 2), (19,)), ((20, 2), (20, 1)), ((9, 2), (9,)), ((0, 2), (0,))])
def test_shapes_that_do_not_fit_are_said(x, y):
    with pytest.raises(
        ShapeError, match=r"set needs x of shape \(n, d\) and y of shape \(n,\), n at least 10; got x \("
    ):
        data.split("set", np.zeros(x), np.zeros(y, int), SEED)


def test_values_that_do_not_fit_are_said():
    y = np.zeros(20, int)
    for x in (np.full((20, 2), np.nan), np.zeros((20, 2), complex), np.full((20, 2), "a")):
        with pytest.raises(DTypeError, match="set needs finite real numbers in x, got"):
            data.split("set", x, y, SEED)
    with pytest.raises(DTypeError, match="set needs classes in y, whole numbers or text; got float64"):
        data.split("set", np.zeros((20, 2)), y.astype(float), SEED)


def test_constant_inputs_are_scaled_without_division_by_zero():
    examples = data.split("set", np.full((20, 2), 7.0), np.arange(20) % 2, SEED)
    assert not examples.train_x.any()
