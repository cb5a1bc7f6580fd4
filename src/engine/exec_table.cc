#include "engine/exec_table.h"

namespace holdfast {

void ExecTable::add(ExecSession session) {
  std::lock_guard lock(mutex_);
  std::string id = session.id;
  sessions_.emplace(std::move(id), std::move(session));
}

Result<ExecSession> ExecTable::get(const std::string& id) const {
  std::lock_guard lock(mutex_);
  auto found = sessions_.find(id);
  if (found == sessions_.end()) return fail(Code::kNotFound, "No such exec instance: {}", id);
  return found->second;
}

Result<ExecSession> ExecTable::claim_start(const std::string& id) {
  std::lock_guard lock(mutex_);
  auto found = sessions_.find(id);
  if (found == sessions_.end()) return fail(Code::kNotFound, "No such exec instance: {}", id);
  auto& session = found->second;
  if (session.started) {
    return fail(Code::kConflict, "exec command {} {}", id,
                session.running ? "is already running" : "has already run");
  }
  session.started = true;
  return session;
}

void ExecTable::set_running(const std::string& id, pid_t pid) {
  std::lock_guard lock(mutex_);
  auto found = sessions_.find(id);
  if (found == sessions_.end()) return;
  found->second.running = true;
  found->second.pid = pid;
}

void ExecTable::set_ended(const std::string& id, int exit_code) {
  std::lock_guard lock(mutex_);
  auto found = sessions_.find(id);
  if (found == sessions_.end()) return;
  found->second.running = false;
  found->second.exit_code = exit_code;
}

std::vector<std::string> ExecTable::running_in(const ContainerId& container) const {
  std::lock_guard lock(mutex_);
  std::vector<std::string> ids;
  for (const auto& [id, session] : sessions_) {
    if (session.container == container && session.running) ids.push_back(id);
  }
  return ids;
}

void ExecTable::forget(const ContainerId& container) {
  std::lock_guard lock(mutex_);
  std::erase_if(sessions_, [&](const auto& entry) { return entry.second.container == container; });
}

}  // namespace holdfast
