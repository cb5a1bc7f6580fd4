#include "client/copy_paths.h"

#include <filesystem>

namespace holdfast::client {
namespace {

namespace fs = std::filesystem;

bool names_current_directory(std::string_view path) { return path == "." || path.ends_with("/."); }
bool has_trailing_slash(std::string_view path) { return path.size() > 1 && path.ends_with('/'); }
// "dir/" and "dir/." can only be directories.
bool asserts_directory(std::string_view path) {
  return path.ends_with('/') || names_current_directory(path);
}

// Go's filepath.Clean.
std::string clean(std::string_view path) {
  std::string text = fs::path(path).lexically_normal().string();
  while (text.size() > 1 && text.ends_with('/')) text.pop_back();
  if (text.size() > 2 && text.ends_with("/.")) text.resize(text.size() - 2);
  return text.empty() ? "." : text;
}

std::string base_of(std::string_view path) {
  if (names_current_directory(path)) return ".";
  std::string cleaned = clean(path);
  if (cleaned == "/") return "/";
  auto slash = cleaned.rfind('/');
  return slash == std::string::npos ? cleaned : cleaned.substr(slash + 1);
}

tl::unexpected<Error> missing(std::string_view path) {
  return fail(Code::kNotFound, "lstat {}: no such file or directory", path);
}

// What a path written with a trailing "/" or "/." keeps when its symlinks are resolved.
CopyEnd resolved_end(const std::string& path, std::string resolved) {
  CopyEnd end;
  if (names_current_directory(path) && !names_current_directory(resolved)) resolved += "/.";
  if (has_trailing_slash(path) && !has_trailing_slash(resolved)) resolved += "/";
  if (base_of(path) != base_of(resolved)) end.rebase_name = base_of(path);
  end.path = std::move(resolved);
  return end;
}

}  // namespace

CopyArgument split_copy_argument(std::string_view argument) {
  if (argument.starts_with('/') || argument.starts_with('.')) return {"", std::string(argument)};
  auto colon = argument.find(':');
  if (colon == std::string_view::npos || argument.substr(0, colon).empty())
    return {"", std::string(argument)};
  return {std::string(argument.substr(0, colon)), std::string(argument.substr(colon + 1))};
}

SplitPath split_path_entry(std::string_view path) {
  std::string cleaned = clean(path);
  if (names_current_directory(path)) {
    return {cleaned, "."};
  }
  if (cleaned == "/") return {"/", "/"};
  auto slash = cleaned.rfind('/');
  if (slash == std::string::npos) return {".", cleaned};
  return {slash == 0 ? "/" : cleaned.substr(0, slash), cleaned.substr(slash + 1)};
}

Result<CopyEnd> local_source(const std::string& path, bool follow) {
  std::error_code error;
  CopyEnd end;
  if (follow || asserts_directory(path)) {
    auto resolved = fs::canonical(path, error);
    if (error) return missing(path);
    end = resolved_end(path, resolved.string());
  } else {
    end.path = path;
  }
  auto status = fs::symlink_status(clean(end.path), error);
  if (!fs::exists(status)) return missing(path);
  end.exists = true;
  end.is_directory = fs::is_directory(status);
  if (asserts_directory(path) && !end.is_directory)
    return fail(Code::kInvalidArgument, "lstat {}: not a directory", path);
  return end;
}

Result<CopyEnd> local_destination(const std::string& path) {
  std::error_code error;
  CopyEnd end;
  end.path = path;
  for (int links = 0;; ++links) {
    auto status = fs::symlink_status(clean(end.path), error);
    if (!fs::is_symlink(status)) break;
    if (links == 10) return fail(Code::kInvalidArgument, "too many symlinks in \"{}\"", path);
    auto target = fs::read_symlink(clean(end.path), error);
    if (error) return missing(path);
    end.path = target.is_absolute() ? target.string()
                                    : (fs::path(clean(end.path)).parent_path() / target).string();
  }
  auto status = fs::status(clean(end.path), error);
  end.exists = fs::exists(status);
  end.is_directory = fs::is_directory(status);
  if (end.exists) {
    if (!end.is_directory && asserts_directory(path))
      return fail(Code::kInvalidArgument, "not a directory");
    return end;
  }
  auto parent = split_path_entry(end.path).directory;
  if (!fs::is_directory(parent, error))
    return fail(Code::kNotFound, "invalid output path: directory \"{}\" does not exist", parent);
  return end;
}

Result<CopyPlan> plan_copy(const CopyEnd& source, const CopyEnd& destination) {
  if (destination.exists && destination.is_directory) return CopyPlan{destination.path, "", ""};
  if (destination.exists && source.is_directory)
    return fail(Code::kInvalidArgument, "cannot copy directory");
  if (!destination.exists && !source.is_directory && asserts_directory(destination.path))
    return fail(Code::kInvalidArgument, "no such directory");
  auto target = split_path_entry(destination.path);
  auto base = source.rebase_name.empty() ? split_path_entry(source.path).base : source.rebase_name;
  return CopyPlan{target.directory, base, target.base};
}

std::string CopyPlan::rename(const std::string& name) const {
  if (old_base == new_base) return name;
  if (old_base == "/") {
    std::string_view rest = name;
    while (rest.starts_with('/')) rest.remove_prefix(1);
    return new_base + "/" + std::string(rest);
  }
  if (name == old_base) return new_base;
  if (name.starts_with(old_base) && name[old_base.size()] == '/')
    return new_base + name.substr(old_base.size());
  return name;
}

}  // namespace holdfast::client
