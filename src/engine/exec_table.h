#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/typed_id.h"
#include "runtime/oci_spec.h"

namespace holdfast {

// One exec session: what was asked, and how far it got. Kept until its container ends, and a while
// after its own end, so that its exit code can be asked for. Not recorded: it ends with the
// daemon's knowledge of it, its process does not.
struct ExecSession {
  std::string id;
  ContainerId container;
  ExecSpec spec;
  bool in = false;
  bool out = false;
  bool err = false;
  std::string user;
  std::string detach_keys;

  bool started = false;
  bool running = false;
  std::optional<int> exit_code;
  pid_t pid = 0;
};

// All exec sessions. Owned by the engine; any thread may call any method.
class ExecTable {
 public:
  void add(ExecSession session);
  // kNotFound in Docker's words.
  Result<ExecSession> get(const std::string& id) const;
  // Marks it started, once: kConflict when it was.
  Result<ExecSession> claim_start(const std::string& id);
  void set_running(const std::string& id, pid_t pid);
  void set_ended(const std::string& id, int exit_code);
  std::vector<std::string> running_in(const ContainerId& container) const;
  // Forgets the sessions of a container that is gone.
  void forget(const ContainerId& container);

 private:
  mutable std::mutex mutex_;  // guards sessions_
  std::map<std::string, ExecSession> sessions_;
};

}  // namespace holdfast
