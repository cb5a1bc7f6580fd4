#include "engine/mounts/first_use.h"

#include <fcntl.h>

#include "engine/mounts/bind_fill.h"
#include "os/safe_path.h"

namespace holdfast {
namespace {

// "was filled from the image's /data, but its file system …": network file systems often keep no
// owners, FAT knows no symlinks either.
std::string refusals_warning(const MountPoint& mount, const CopyRefusals& refused) {
  std::string driver = mount.driver.empty() ? "" : fmt::format(" (driver \"{}\")", mount.driver);
  std::vector<std::string> parts;
  if (refused.owners > 0)
    parts.push_back(
        fmt::format("refused to set the owner of {} of the files: they belong to whom it says",
                    refused.owners));
  if (refused.modes > 0)
    parts.push_back(fmt::format("refused to set the mode of {} of them", refused.modes));
  if (refused.entries > 0)
    parts.push_back(
        fmt::format("has no place for {} symlinks or FIFOs, which are missing now: "
                    "\"{}\" is one",
                    refused.entries, refused.example));
  return fmt::format("{} \"{}\"{} was filled from the image's {}, but its file system {}",
                     mount.type == MountType::kVolume ? "volume" : "directory", mount.source,
                     driver, mount.target, fmt::join(parts, "; it "));
}

}  // namespace

Result<CopyRefusals> FirstUse::fill_volume(const MountPoint& mount, BorrowedFd content,
                                           const Requester& requester) {
  ASSIGN_OR_RETURN(auto filled, volumes_.populate(VolumeName(mount.source), content,
                                                  executor_.judge_for(requester)));
  return std::move(filled.refused);
}

Result<CopyRefusals> FirstUse::fill_bind(const MountPoint& mount, BorrowedFd content,
                                         const Requester& requester) {
  ASSIGN_OR_RETURN(auto source, executor_.open_bind_source(mount, requester));
  ASSIGN_OR_RETURN(auto directory, reopen(source, O_RDONLY | O_DIRECTORY));
  ASSIGN_OR_RETURN(auto path, path_of(source));
  return BindFill::fill(store_, directory, path, content);
}

Result<std::vector<std::string>> FirstUse::fill(const std::vector<MountPoint>& mounts,
                                                const ImageRoot& image,
                                                const Requester& requester) {
  std::vector<std::string> warnings;
  for (const auto& mount : mounts) {
    if (!mount.copy_image_data || !mount.subpath.empty()) continue;
    auto content = image.open_content(mount.target);
    if (!content) continue;
    bool volume = mount.type == MountType::kVolume;
    auto refused =
        volume ? fill_volume(mount, *content, requester) : fill_bind(mount, *content, requester);
    // An answer 404 here would tell clients that the image is missing.
    if (!refused && refused.error().code == Code::kNotFound)
      refused.error().code = Code::kInvalidArgument;
    if (!refused)
      return tl::unexpected(std::move(refused).error().wrap(fmt::format(
          "failed to copy the image's content at {} to {}{}{}", mount.target,
          volume ? "volume " : "", mount.source, volume ? " (with nocopy it is left empty)" : "")));
    if (refused->told()) warnings.push_back(refusals_warning(mount, *refused));
  }
  return warnings;
}

}  // namespace holdfast
