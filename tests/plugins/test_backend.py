"""Choosing a backend: by name, device, object, hook, priority; and what is said when that fails."""

import warnings

import pytest

from core import backend, plugins
from core.errors import BackendError, CoreWarning, PluginConflict
from core.markers import hookimpl
from core.options import config
from core.records import Backend, Probe


class Driver:
    """A driver that compiles nothing, for what happens before that."""

    def __init__(self, *devices, reason="", remedy=""):
        self.asked, self.found = 0, Probe(devices, reason, remedy)

    def probe(self):
        self.asked += 1
        return self.found

    def compile(self, program, device=None):
        raise AssertionError("nobody compiles here")


class Offers:
    def __init__(self, *records, choice=None):
        self.records, self.choice = records, choice

    @hookimpl
    def backends(self):
        return self.records

    @hookimpl
    def choose_backend(self, graph, candidates):
        return self.choice(graph, candidates) if callable(self.choice) else self.choice


@pytest.fixture
def alone(registered, monkeypatch):
    """No installed plugin takes part, only what the test registers."""
    monkeypatch.setenv("CORE_PLUGINS", "core")
    monkeypatch.delenv("CORE_BACKEND", raising=False)
    monkeypatch.setattr(backend, "_noted", set())
    plugins.reset()
    return registered


def fast(*devices, name="fast", priority=50, **found):
    return Backend(name, "c", Driver(*devices, **found), priority)


def test_the_highest_priority_whose_probe_succeeds_is_chosen(alone):
    alone(Offers(fast("cpu"), fast(reason="no card", name="faster", priority=90)))
    assert backend.names() == ["faster", "fast", "interpreter"]
    assert backend.resolve().name == "fast"


def test_asking_for_one_backend_asks_no_other_driver(alone):
    records = fast("cpu"), fast("gpu", name="faster", priority=90)
    alone(Offers(*records))
    backend.resolve("fast")
    assert [record.ref.asked for record in records] == [1, 0]


def test_a_choice_has_record_driver_and_the_distribution(alone):
    record = fast("cpu")
    alone(Offers(record), name="plugin-fast")
    choice = backend.resolve("fast")
    assert (choice.record, choice.driver, choice.device) == (record, record.ref, None)
    assert str(choice.source) == "plugin-fast"
    assert backend.resolve(choice) is choice


@pytest.mark.parametrize("text, number", [("fast:1", 1), ("fast:left", 1), ("fast:0", 0)])
def test_a_device_is_asked_for_by_number_or_name(alone, text, number):
    alone(Offers(fast("right", "left")))
    choice = backend.resolve(text)
    assert (choice.device, choice.name) == (number, f"fast:{number}")


def test_an_unknown_device_is_refused_with_those_that_there_are(alone):
    alone(Offers(fast("right", "left")))
    message = r"backend 'fast' has no device '2'; it has fast:0 \(right\), fast:1 \(left\)\."
    with pytest.raises(BackendError, match=message):
        backend.resolve("fast:2")
    with pytest.raises(BackendError, match=r"has no device 'letf'.* Did you mean 'left'\?"):
        backend.resolve("fast:letf")


def test_an_unknown_backend_is_refused_with_a_guess(alone):
    alone(Offers(fast("cpu")))
    with pytest.raises(BackendError, match=r"no backend 'fats'; there are fast, interpreter\. Did you mean 'fast'\?"):
        backend.resolve("fats")


@pytest.mark.parametrize("name", ["c", "opencl", "cuda"])
def test_a_backend_of_ours_that_is_not_installed_is_refused_with_what_to_install(alone, monkeypatch, name):
    monkeypatch.setattr(plugins.discovery, "find", list)
    plugins.reset()
    with pytest.raises(BackendError, match=f"comes with plugin-backend-{name}: pip install plugin-backend-{name}$"):
        backend.resolve(name)


def test_a_misspelt_backend_of_ours_is_guessed_although_it_is_not_installed(alone):
    with pytest.raises(BackendError, match=r"Did you mean 'opencl'\?"):
        backend.resolve("opnecl")


def test_a_backend_whose_plugin_is_blocked_says_so(site):
    site.add("plugin-backend-cuda", plugin_backend_cuda="1 / 0")
    code = """
        from core import backend
        try:
            backend.resolve("cuda")
        except backend.BackendError as error:
            print(error)
    """
    said = site.run(code, CORE_PLUGINS_DISABLE="backend-cuda")
    assert "plugin-backend-cuda 1.0 is blocked: CORE_PLUGINS_DISABLE names it; take it off that list" in said
    said = site.run(code)
    assert "plugin-backend-cuda 1.0 is broken: ZeroDivisionError: division by zero; upgrade or reinstall" in said


def test_a_broken_plugin_is_named_to_whoever_asks_for_an_unknown_backend(site):
    site.add("plugin-odd", plugin_odd="1 / 0")
    code = """
        from core import backend
        try:
            backend.resolve("vulkan")
        except backend.BackendError as error:
            print(error)
    """
    assert "Perhaps it belongs to one of these: plugin-odd 1.0 is broken: ZeroDivisionError" in site.run(code)


def test_a_backend_that_does_not_work_is_refused_with_reason_and_remedy(alone):
    alone(Offers(fast(reason="no compiler", remedy="install gcc")), name="plugin-fast")
    with pytest.raises(BackendError, match=r"'fast' \(plugin-fast\) cannot be used here: no compiler; install gcc"):
        backend.resolve("fast")


def test_a_driver_that_cannot_be_imported_is_a_reason(alone):
    alone(Offers(Backend("fast", "c", "no_such_module_here:driver", 50)), name="plugin-fast")
    assert backend.probe("fast").reason.startswith("plugin-fast needs 'no_such_module_here:driver'")
    assert backend.available_names() == ["interpreter"]


def test_the_probe_of_a_name_that_is_unknown_or_in_conflict_is_a_reason(alone):
    alone(Offers(fast("cpu")), name="one")
    alone(Offers(fast("cpu")), name="two")
    assert "there is no backend 'vulkan'" in backend.probe("vulkan").reason
    assert "the backend fast is claimed by one and two" in backend.probe("fast").reason
    with pytest.raises(PluginConflict, match="the backend fast is claimed by one and two"):
        backend.resolve("fast")


def test_the_interpreter_is_chosen_with_a_note_said_once_when_nothing_compiles(alone):
    alone(Offers(fast(reason="no compiler", remedy="install gcc")))
    expected = (
        "no compiling backend works here, so functions run in the slower 'interpreter'.*fast: no compiler; install gcc"
    )
    with pytest.warns(CoreWarning, match=expected):
        assert backend.resolve().name == "interpreter"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        backend.resolve()


def test_the_note_says_what_to_install_when_no_other_backend_is_there(alone):
    with pytest.warns(CoreWarning, match="none is installed: pip install plugin-backend-c"):
        backend.resolve()


def test_the_interpreter_asked_for_by_name_comes_without_a_note(alone):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert backend.resolve("interpreter").name == "interpreter"


def test_the_option_backend_is_used_where_the_user_names_none(alone, monkeypatch):
    alone(Offers(fast("cpu"), fast("gpu", name="faster", priority=90)))
    with config.override(backend="fast"):
        assert backend.resolve().name == "fast"
        assert backend.resolve("faster").name == "faster"
    monkeypatch.setenv("CORE_BACKEND", "fast:0")
    assert backend.resolve().name == "fast:0"


def test_a_plugin_that_chooses_a_backend_that_does_not_work_is_named(alone):
    alone(Offers(fast(reason="no card"), choice="fast"), name="chooser")
    with pytest.raises(BackendError, match=r"chooser chose backend 'fast', but: backend 'fast'.*no card"):
        backend.resolve()


def test_no_backend_that_works_is_an_error_with_each_reason(alone, monkeypatch):
    alone(Offers(fast(reason="no card")))
    monkeypatch.setattr(backend, "names", lambda: ["fast"])
    with pytest.raises(BackendError, match="no backend works here: fast: no card"):
        backend.resolve()


def test_a_record_or_a_driver_may_be_given_in_the_place_of_a_name(alone):
    record = fast("cpu")
    assert backend.resolve(record).driver is record.ref

    class Graphs:
        name = "graphs"

        def compile_graph(self, graph):
            raise AssertionError("nobody compiles here")

    choice = backend.resolve(Graphs())
    assert (choice.name, choice.record.dialect) == ("graphs", None)
    driver = Driver("cpu")
    driver.dialect = "c"
    choice = backend.resolve(driver)
    assert (choice.name, choice.record.dialect, choice.driver) == ("Driver", "c", driver)


def test_anything_else_in_the_place_of_a_name_is_refused(alone):
    with pytest.raises(
        BackendError, match=r"backend= needs a name, a Backend record, or a driver .* got 3 of type int"
    ):
        backend.resolve(3)


def test_probes_and_backends_tell_what_each_backend_finds(alone):
    alone(Offers(fast("cpu"), fast(reason="no card", name="faster", priority=90)))
    found = backend.backends()
    assert list(found) == ["faster", "fast", "interpreter"]
    assert found["fast"].devices == ("cpu",)
    assert found["faster"].reason == "no card"
    assert backend.available_names() == ["fast", "interpreter"]
