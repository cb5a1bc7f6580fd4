#include "engine/mounts/bind_fill.h"

#include <fcntl.h>

#include <cerrno>

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/random.h"
#include "storage/copy/directory_fill.h"

namespace holdfast {
namespace {

constexpr std::string_view kPrefix = "bind-fill/";

Status finish(const std::string& path, const std::string& id) {
  auto directory = open_file(path, O_RDONLY | O_DIRECTORY);
  if (!directory && directory.error().sys_errno == ENOENT) return {};
  if (!directory) return tl::unexpected(std::move(directory).error());
  return finish_directory_fill(*directory, id);
}

}  // namespace

Result<CopyRefusals> BindFill::fill(Store& store, BorrowedFd directory, const std::string& path,
                                    BorrowedFd content) {
  ASSIGN_OR_RETURN(bool empty, is_empty(directory));
  ASSIGN_OR_RETURN(bool nothing, is_empty(content));
  if (!empty || nothing) return CopyRefusals{};
  TreeCopyOptions options;
  options.leave_unknown = true;
  options.from_layer = true;
  if (is_behind_fuse(directory)) {
    ASSIGN_OR_RETURN(auto totals, fill_directly(directory, content, options));
    return std::move(totals.refused);
  }
  std::string id = random_hex(32);
  std::string key = std::string(kPrefix) + id;
  RETURN_IF_ERROR(store.put(RecordKind::kIntent, key,
                            json::serialize(json::Object{{"Path", path}, {"Fill", id}})));
  auto copied = begin_directory_fill(directory, content, id, options);
  auto ended = copied ? finish_directory_fill(directory, id) : undo_directory_fill(directory, id);
  // What could not be ended now is ended at the next start.
  if (ended) ended = store.erase(RecordKind::kIntent, key);
  if (!copied) return tl::unexpected(std::move(copied).error());
  RETURN_IF_ERROR(std::move(ended));
  return std::move(copied->refused);
}

Status BindFill::finish_all(Store& store) {
  ASSIGN_OR_RETURN(auto records, store.all(RecordKind::kIntent));
  for (const auto& record : records) {
    if (!record.key.starts_with(kPrefix)) continue;
    auto intent = json::parse_object(record.document);
    if (!intent) {
      log::error("intent {} is damaged: {}", record.key, intent.error().message);
      continue;
    }
    std::string path = json::string_or(*intent, "Path");
    if (auto finished = finish(path, json::string_or(*intent, "Fill")); !finished) {
      log::warn("filling of \"{}\" could not be ended: {}", path, finished.error().message);
      continue;
    }
    RETURN_IF_ERROR(store.erase(RecordKind::kIntent, record.key));
  }
  return {};
}

}  // namespace holdfast
