"""The public names of `retbench`."""

import builtins
from types import ModuleType

import pytest

import retbench
from retbench import catalog, contracts, errors, file_digests, hookspecs
from retbench.study import evaluation, opening, study


def test_the_exports_are_contracts_errors_hook_marker_and_python_api() -> None:
    raised = {"ContractBreach", "OptionError", "PluginError", "RetbenchError", "UserError"}
    api = {"Study", "digest_files", "evaluate"}
    assert sorted(retbench.__all__) == sorted({*contracts.__all__, *raised, *api, "hookimpl", "load_catalog"})


def test_the_contracts_export_their_public_names() -> None:
    public = {name for name, value in vars(contracts).items() if name[0] != "_" and not isinstance(value, ModuleType)}
    assert sorted(contracts.__all__) == sorted(public - {"annotations"})  # ruff checks the order of the list itself


@pytest.mark.parametrize("name", [*retbench.__all__, "open"])
def test_an_exported_name_is_that_of_its_module(name: str) -> None:
    defining_module = next(
        module
        for module in (contracts, errors, file_digests, hookspecs, catalog, evaluation, opening, study)
        if hasattr(module, name)
    )
    assert getattr(retbench, name) is getattr(defining_module, name)


def test_a_star_import_imports_every_exported_name() -> None:
    names: dict[str, object] = {}
    exec("from retbench import *", names)
    assert set(retbench.__all__) <= set(names)


def test_a_star_import_does_not_hide_builtin_names() -> None:
    names: dict[str, object] = {}
    exec("from retbench import *", names)
    assert not {*names} & {*vars(builtins)} - {"__name__", "__doc__"}


def test_dir_lists_what_can_be_imported() -> None:
    assert set(dir(retbench)) == {*retbench.__all__, "open", "__version__"}


def test_an_unknown_name_raises_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'retbench' has no attribute 'Hashers'"):
        _ = retbench.Hashers  # type: ignore[attr-defined]
