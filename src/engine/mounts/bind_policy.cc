#include "engine/mounts/bind_policy.h"

#include <fcntl.h>
#include <pwd.h>
#include <stdlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>

#include "base/file.h"
#include "os/mountinfo.h"
#include "os/safe_path.h"

namespace holdfast {
namespace {

struct Account {
  std::string name;
  std::string home;
};

std::optional<Account> account_of(const Requester& requester) {
  if (!requester) return std::nullopt;
  std::array<char, 4096> buffer;
  struct passwd entry = {};
  struct passwd* found = nullptr;
  if (::getpwuid_r(*requester, &entry, buffer.data(), buffer.size(), &found) != 0 || !found)
    return std::nullopt;
  return Account{found->pw_name, found->pw_dir};
}

bool is_name_letter(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

// Takes the variable at the front of `text`, "$NAME" or "${NAME}", off it.
std::string_view take_variable(std::string_view& text) {
  text.remove_prefix(1);
  if (text.starts_with('{')) {
    auto end = text.find('}');
    if (end == std::string_view::npos) return {};
    auto name = text.substr(1, end - 1);
    text.remove_prefix(end + 1);
    return name;
  }
  auto end = std::find_if_not(text.begin(), text.end(), is_name_letter);
  auto name = text.substr(0, static_cast<std::size_t>(end - text.begin()));
  text.remove_prefix(name.size());
  return name;
}

bool is_or_below(const std::string& path, const std::string& root) {
  if (root == "/") return path.starts_with('/');
  return path.starts_with(root) && (path.size() == root.size() || path[root.size()] == '/');
}

bool is_missing(const Error& error) {
  return error.sys_errno == ENOENT || error.sys_errno == ENOTDIR;
}

// A root with the variables of an account in it.
struct Expanded {
  std::string path;
  // Its beginning that ends with the last variable's value; all of it where there is none. What
  // comes behind lies with the user, who may have put a symlink there.
  std::string given;
};

// nullopt for a variable that `account` has no value for, and for what is no absolute path.
std::optional<Expanded> expand(std::string_view root, const std::optional<Account>& account) {
  std::string text;
  std::optional<std::size_t> end_of_variable;
  while (!root.empty()) {
    auto dollar = std::min(root.find('$'), root.size());
    text += root.substr(0, dollar);
    root.remove_prefix(dollar);
    if (root.empty()) break;
    auto name = take_variable(root);
    if (!account || (name != "USER" && name != "HOME")) return std::nullopt;
    const auto& value = name == "USER" ? account->name : account->home;
    if (value.empty()) return std::nullopt;
    text += value;
    end_of_variable = text.size();
  }
  if (!text.starts_with('/')) return std::nullopt;
  auto end = end_of_variable ? text.find('/', *end_of_variable) : std::string::npos;
  return Expanded{text, text.substr(0, end)};
}

std::optional<Expanded> expand(const std::string& root, const Requester& requester) {
  bool variable = root.find('$') != std::string::npos;
  return expand(root, variable ? account_of(requester) : std::nullopt);
}

std::optional<std::string> real_path(const std::string& path) {
  std::unique_ptr<char, void (*)(void*)> real(::realpath(path.c_str(), nullptr), ::free);
  return real ? std::optional<std::string>(real.get()) : std::nullopt;
}

}  // namespace

std::optional<std::string> expand_bind_root(const std::string& root, const Requester& requester) {
  auto expanded = expand(root, requester);
  return expanded ? std::optional(expanded->path) : std::nullopt;
}

Status check_bind_root(const std::string& root) {
  if (expand(root, Account{"user", "/home/user"})) return {};
  return fail(
      Code::kInvalidArgument,
      "allowed-bind-roots: \"{}\" is no absolute path, and only $HOME and $USER may stand in it",
      root);
}

std::vector<std::string> BindPolicy::real_roots(const Requester& requester) const {
  std::vector<std::string> real;
  for (const auto& root : *roots_) {
    auto expanded = expand(root, requester);
    if (!expanded) continue;
    auto path = real_path(expanded->path);
    auto given = real_path(expanded->given);
    if (path && given && is_or_below(*path, *given)) real.push_back(*path);
  }
  return real;
}

Status BindPolicy::judge(BorrowedFd source, const std::string& asked,
                         const Requester& requester) const {
  if (!roots_) return {};
  // What a user has bound in a namespace of his own, and names by way of /proc/PID/root, has the
  // path it has there.
  if (auto mount = mount_of(source); !mount && mount.error().code == Code::kNotFound)
    return fail(Code::kPermissionDenied,
                "\"{}\" leads into another mount namespace, of whose paths none may be mounted",
                asked);
  ASSIGN_OR_RETURN(auto path, path_of(source));
  auto roots = real_roots(requester);
  if (std::any_of(roots.begin(), roots.end(),
                  [&](const std::string& root) { return is_or_below(path, root); }))
    return {};
  return fail(Code::kPermissionDenied,
              "\"{}\"{} is outside of the directories that may be mounted ({}): add it to "
              "\"allowed-bind-roots\" in {} and restart holdfastd",
              asked, path == asked ? "" : fmt::format(", which is \"{}\",", path),
              roots_->empty() ? "none" : fmt::format("{}", fmt::join(*roots_, ", ")), config_file_);
}

Result<UniqueFd> BindPolicy::open(const std::string& path, bool create,
                                  const Requester& requester) const {
  std::string there = path;
  auto opened = open_file(there, O_PATH);
  if (!opened && create && opened.error().sys_errno == ENOENT) {
    while (!opened && opened.error().sys_errno == ENOENT && there.size() > 1) {
      there.erase(std::max<std::size_t>(there.rfind('/'), 1));
      opened = open_file(there, O_PATH);
    }
  }
  if (!opened && is_missing(opened.error()))
    return fail(Code::kNotFound, "bind source path does not exist: {}", path);
  if (!opened) return opened;
  RETURN_IF_ERROR(judge(*opened, path, requester));
  if (there == path) return opened;
  auto made = make_directories_confined(*opened, path.substr(there.size()), Confine::kInRoot);
  if (made) return made;
  return tl::unexpected(std::move(made).error().wrap(
      fmt::format("error while creating mount source path '{}'", path)));
}

}  // namespace holdfast
