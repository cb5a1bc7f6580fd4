"""One image, taken in and thrown out by several clients at once."""

import io
import tarfile
import threading

import pytest

LOADS, LOADERS, REMOVERS = 25, 4, 3


def empty_tar():
    buffer = io.BytesIO()
    tarfile.open(fileobj=buffer, mode="w").close()
    return buffer.getvalue()


@pytest.mark.holdfast_only("dockerd 20.10 answers 500 to some of the removals")
def test_loading_an_image_that_is_being_removed_does_not_hang(docker, api):
    docker("import", "-", "raced", input=empty_tar())
    archive = docker("save", "raced").raw_out
    docker("rmi", "raced")
    loaded, unexpected = threading.Event(), []

    def note(work):
        try:
            work()
        except Exception as error:  # a hang ends as the socket's deadline
            unexpected.append(repr(error))

    def load():
        for _ in range(LOADS):
            answer = api.call("POST", "/images/load", archive, {"Content-Type": "application/x-tar"})
            assert answer.status == 200, answer.body

    def remove():
        while not loaded.is_set():
            assert api.delete("/images/raced", force=1).status in (200, 404, 409)

    loaders = [threading.Thread(target=note, args=(load,)) for _ in range(LOADERS)]
    removers = [threading.Thread(target=note, args=(remove,)) for _ in range(REMOVERS)]
    for thread in loaders + removers:
        thread.start()
    for thread in loaders:
        thread.join()
    loaded.set()
    for thread in removers:
        thread.join()
    assert unexpected == []
