#pragma once

#include <fmt/format.h>

#include <compare>
#include <functional>
#include <string>
#include <utility>

namespace holdfast {

// A string that names one kind of thing, so that a container's id is never taken for a volume's
// name. `Tag` is an empty struct: using VolumeName = TypedId<struct VolumeNameTag>.
template <typename Tag>
class TypedId {
 public:
  TypedId() = default;
  explicit TypedId(std::string text) : text_(std::move(text)) {}

  const std::string& str() const { return text_; }
  bool empty() const { return text_.empty(); }
  friend auto operator<=>(const TypedId&, const TypedId&) = default;

 private:
  std::string text_;
};

// Whoever keeps a volume in use: a container's id, a CSI publish target, a dashboard session.
// Opaque to storage.
using HolderId = TypedId<struct HolderIdTag>;
using VolumeName = TypedId<struct VolumeNameTag>;
using ContainerId = TypedId<struct ContainerIdTag>;  // 64 hexadecimal digits
using ImageId =
    TypedId<struct ImageIdTag>;  // "sha256:" and 64 hexadecimal digits of the config blob
using NetworkId = TypedId<struct NetworkIdTag>;  // 64 hexadecimal digits

}  // namespace holdfast

template <typename Tag>
struct std::hash<holdfast::TypedId<Tag>> {
  std::size_t operator()(const holdfast::TypedId<Tag>& id) const noexcept {
    return std::hash<std::string>()(id.str());
  }
};

template <typename Tag>
struct fmt::formatter<holdfast::TypedId<Tag>> : fmt::formatter<std::string> {
  template <typename Context>
  auto format(const holdfast::TypedId<Tag>& id, Context& context) const {
    return fmt::formatter<std::string>::format(id.str(), context);
  }
};
