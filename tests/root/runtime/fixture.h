#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/event_loop.h"
#include "base/file.h"
#include "os/mount.h"
#include "runtime/attach.h"
#include "runtime/exit_monitor.h"
#include "runtime/log_file.h"
#include "runtime/runtime.h"

namespace holdfast {

constexpr auto kDeadline = std::chrono::seconds(20);

// What a container or session printed, and how it ended.
struct Outcome {
  std::string out;
  std::string err;
  ExitRecord exit;
};

// Containers of a busybox root file system, made by a Runtime with an exec root of its own. Run
// once with each OCI runtime that is installed. Afterwards nothing may be left on the machine.
class RuntimeTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override;
  void TearDown() override;

  // A spec of busybox's `args` without a network.
  static ContainerSpec spec(std::vector<std::string> args);
  // The shell's.
  static ContainerSpec shell(const std::string& script) { return spec({"/bin/sh", "-c", script}); }

  ContainerId new_id();
  CreateRequest request(const ContainerId& id, ContainerSpec container);
  Result<CreatedContainer> create(const ContainerId& id, ContainerSpec container,
                                  bool stdin_open = false, bool stdin_once = true);

  // Creates, attaches, starts, feeds `input`, waits.
  Outcome run(ContainerSpec container, std::optional<std::string> input = {});
  Outcome run_exec(const ContainerId& id, ExecSpec exec, std::optional<std::string> input = {});

  // Feeds `input` and half-closes, then collects output until the monitor hangs up.
  static void converse(AttachStream& stream, std::optional<std::string> input, Outcome& outcome);
  // Reads until the output holds `text`; false when it ends or the deadline passes first.
  static bool read_until(AttachStream& stream, const std::string& text, std::string& output);

  std::future<ExitRecord> watch(const MonitorProcess& monitor);
  ExitRecord wait(std::future<ExitRecord>& future);

  // A container that sits there until it is killed.
  ContainerId start_idle();

  // The lines of the host's mount table that name the test's directory.
  std::vector<std::string> own_mounts() const;

  std::string path(const std::string& name) const { return directory_ + "/" + name; }

  std::string directory_;
  std::unique_ptr<Runtime> runtime_;
  std::unique_ptr<EventLoop> loop_;
  std::unique_ptr<ExitMonitor> exits_;
  UniqueFd rootfs_;
  std::vector<DetachedMount> trees_;  // root file systems handed to create()
  std::vector<ContainerId> ids_;
  // The test itself mounts something, which other programs' new mount namespaces may copy.
  bool leaves_host_mounts_ = false;
};

// A directory that holds busybox and the files an image has.
void make_busybox_root(const std::string& directory);

std::vector<const char*> installed_runtimes();

}  // namespace holdfast
