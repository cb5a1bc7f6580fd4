"""Engines to attack: holdfastd by crun and by runc, and the weakened build."""

import pytest

from engine import KIND
from ground import Ground

collect_ignore_glob = ["*"] if KIND != "holdfastd" else []


def opened(**options):
    ground = Ground(**options)
    try:
        yield ground.open()
    finally:
        ground.close()


@pytest.fixture(scope="session")
def strong_ground():
    yield from opened()


@pytest.fixture(scope="session")
def walking_ground():
    """Where the kernel has no openat2."""
    yield from opened(environment={"HOLDFAST_NO_OPENAT2": "1"})


@pytest.fixture(scope="session")
def runc_ground():
    yield from opened(**{"default-runtime": "runc"})


@pytest.fixture(scope="session")
def weak_ground():
    yield from opened(weak=True)


GROUNDS = {"paths": ("strong", "walking", "weak"), "runtimes": ("strong", "runc", "weak")}


def pytest_generate_tests(metafunc):
    """`ground` is each of the engines in turn that the module's MATTERS names; two where it has none."""
    if "ground" not in metafunc.fixturenames:
        return
    names = GROUNDS.get(getattr(metafunc.module, "MATTERS", ""), ("strong", "weak"))
    metafunc.parametrize("ground", names, indirect=True)


@pytest.fixture
def ground(request):
    return request.getfixturevalue(f"{request.param}_ground")
