# make demo and make test alone take a fresh Debian 12 machine from nothing to done.
#
#   make deps     install the Debian packages that are missing
#   make build    build/bin/holdfast and build/bin/holdfastd
#   make demo     run and print the story of a database that outlives its container
#   make test     checks, unit tests, privileged tests, client tests, crash tests
#   make bench    measure against dockerd, side by side
#   make tidy     clang-tidy over all sources (half an hour)
#   make install  to PREFIX (/usr/local), below DESTDIR if given
#   make clean    remove what was built
#
# PRESET names the CMake preset: release (the default), dev, asan, tsan.

PRESET ?= release
PREFIX ?= /usr/local
JOBS ?= $(shell nproc)
SUDO ?= $(if $(filter 0,$(shell id -u)),,sudo -E)
TESTS ?= tests/clients tests/attacks tests/crash
PYTEST = /usr/bin/python3 -B -m pytest -c tests/pytest.ini

.NOTPARALLEL:
.PHONY: all deps build demo test check unit clients bench tidy install clean

all: build

deps:
	@$(SUDO) scripts/deps.sh build runtime test

build: deps
	@test -f build/$(PRESET)/build.ninja || cmake --preset $(PRESET)
	@cmake --build build/$(PRESET) -j $(JOBS)
	@mkdir -p build/bin
	@ln -sfn ../$(PRESET)/bin/holdfast build/bin/holdfast
	@ln -sfn ../$(PRESET)/bin/holdfastd build/bin/holdfastd

demo: build
	@$(SUDO) scripts/demo.sh

test: build check unit clients

check:
	@tests/checks/run.sh

unit:
	@$(SUDO) ctest --test-dir build/$(PRESET) --output-on-failure -j $(JOBS) --timeout 300

clients:
	@$(SUDO) tests/images/build.sh
	@$(SUDO) $(PYTEST) $(TESTS)

bench: build
	@$(SUDO) tests/images/build.sh busybox debian manyfiles
	@$(SUDO) /usr/bin/python3 -B bench/versus/run.py

tidy:
	@$(SUDO) scripts/deps.sh build tidy
	@tests/checks/tidy.sh

install: build
	install -D -m 755 build/bin/holdfast $(DESTDIR)$(PREFIX)/bin/holdfast
	install -D -m 755 build/bin/holdfastd $(DESTDIR)$(PREFIX)/sbin/holdfastd

clean:
	rm -rf build
