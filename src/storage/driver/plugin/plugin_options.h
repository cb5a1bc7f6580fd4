#pragma once

#include <chrono>
#include <string>
#include <vector>

namespace holdfast {

// How long a plugin is waited for. Docker's own limits are two minutes for what may move data and
// one for the rest.
struct PluginDeadlines {
  // Create, Remove, Mount, Unmount.
  std::chrono::milliseconds slow = std::chrono::minutes(2);
  // Everything else.
  std::chrono::milliseconds quick = std::chrono::seconds(10);
  // A listing of volumes or plugins goes without those that take longer than this, all together.
  std::chrono::milliseconds listing = std::chrono::milliseconds(250);
  // So does the question who has a volume of a name that is not on record.
  std::chrono::milliseconds lookup = std::chrono::seconds(1);
  // A container's end waits this long for an Unmount, which goes on by itself then.
  std::chrono::milliseconds unmount_patience = std::chrono::seconds(10);
  // Between two attempts at what a plugin that was away still has to be told.
  std::chrono::milliseconds retry = std::chrono::seconds(1);
};

// Where volume plugins are looked for, and what they may not do.
struct PluginOptions {
  // Docker's.
  std::vector<std::string> directories = {"/run/docker/plugins", "/etc/docker/plugins",
                                          "/usr/lib/docker/plugins"};
  PluginDeadlines deadlines;
  // Directories of ours, of which a plugin may not name any part, nor what is above them, as a
  // volume's mountpoint.
  std::vector<std::string> private_roots;
};

}  // namespace holdfast
