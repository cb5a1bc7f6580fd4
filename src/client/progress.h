#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/json.h"
#include "client/http_client.h"

namespace holdfast::client {

// Shows the stream of JSON messages that pull, push, load and import answer with: on a terminal a
// line with a bar for each layer, redrawn in place; elsewhere one plain line a change of state.
// One owner; not thread-safe.
class ProgressDisplay {
 public:
  using Writer = std::function<void(std::string_view)>;

  // `columns` is the terminal's width, 0 for no terminal.
  ProgressDisplay(Writer write, unsigned columns) : write_(std::move(write)), columns_(columns) {}

  // One message; an "error" in it is returned as an Error.
  Status show(const json::Object& message);

 private:
  std::string bar(const json::Object& detail) const;

  Writer write_;
  unsigned columns_;
  std::map<std::string, std::size_t> lines_;  // layer id -> which line of the block
};

// Reads a body of concatenated JSON documents, handing on each as it is complete.
Status for_each_json(Response& response, const std::function<Status(const json::Object&)>& handle);

}  // namespace holdfast::client
