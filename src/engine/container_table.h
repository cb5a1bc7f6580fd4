#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "engine/container.h"
#include "state/store.h"

namespace holdfast {

// All containers of the daemon, by id and by name. Owned by the engine; any thread may call any
// method. A container is in here exactly while its record is in the Store.
class ContainerTable {
 public:
  explicit ContainerTable(Store& store) : store_(store) {}

  // Reads the records. A damaged one is left alone and returned as a message: one bad record never
  // stops the daemon.
  Result<std::vector<std::string>> load();

  // Takes a name for a container about to be added; kConflict in Docker's words when it is taken.
  // Without a name, one is made up.
  Result<std::string> reserve_name(const std::string& wanted, const ContainerId& id);
  void release_name(const std::string& name);
  // Whether a name is reserved for a container of this id, which may not be there yet.
  bool is_reserved(const ContainerId& id) const;

  // Makes the container durable and visible, together with the changes of `also`. Its name must be
  // reserved.
  Status add(const ContainerPtr& container, Batch also);
  // Writes the record anew; durable on return.
  Status save(const Container& container);
  // Takes the container out, durably and together with the changes of `also`, and frees its name.
  Status remove(const ContainerPtr& container, Batch also);
  // Renames it durably; kConflict when the name is taken.
  Status rename(Container& container, const std::string& name);

  // Full id, exact name (a leading slash allowed), then unambiguous id prefix. kNotFound "No such
  // container: x"; kInvalidArgument when a prefix fits several.
  Result<ContainerPtr> find(const std::string& name_or_id) const;
  // Newest first.
  std::vector<ContainerPtr> all() const;
  std::size_t count() const;

 private:
  Store& store_;
  mutable std::mutex mutex_;  // guards what follows
  std::map<ContainerId, ContainerPtr> by_id_;
  std::map<std::string, ContainerId> names_;
};

}  // namespace holdfast
