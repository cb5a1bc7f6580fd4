#include <fcntl.h>

#include "base/file.h"
#include "engine/engine_impl.h"
#include "storage/archive/create.h"

namespace holdfast {

// An image of a container's image and its writable layer. Volumes are not part of it.
Result<json::Object> Engine::commit(const CommitRequest& request) {
  auto& impl = *impl_;
  ASSIGN_OR_RETURN(auto container, impl.table.find(request.container));
  auto guard = container->slot.acquire();
  bool pause = request.pause && container->state().status == ContainerStatus::kRunning;
  if (pause) RETURN_IF_ERROR(impl.parts.runtime.pause(container->id));
  image::CommitRequest wanted;
  wanted.parent = container->image;
  wanted.reference = request.reference;
  wanted.comment = request.comment;
  wanted.author = request.author;
  wanted.changes = request.changes;
  wanted.container_config = container->view().config;
  wanted.container = container->id;
  auto made = impl.parts.images.commit(wanted, [&](const archive::Sink& sink) -> Status {
    ASSIGN_OR_RETURN(auto upper,
                     open_file(impl.folders.upper(container->id), O_RDONLY | O_DIRECTORY));
    archive::CreateOptions options;
    options.overlay_upper = true;
    return archive::create(upper, "", options, sink);
  });
  if (pause) RETURN_IF_ERROR(impl.parts.runtime.resume(container->id));
  ASSIGN_OR_RETURN(auto id, std::move(made));
  impl.publish(
      *container, "commit",
      {{"comment", request.comment}, {"imageID", id.str()}, {"imageRef", request.reference}});
  return json::Object{{"Id", id.str()}};
}

}  // namespace holdfast
