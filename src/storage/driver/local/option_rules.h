#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"

// Which mount options a file system may get, and with which values. What is listed are the options
// that say how the file system behaves; left out is whatever runs programs, loads libraries, writes
// files elsewhere, passes descriptors, or stops the machine.
namespace holdfast {

// A family of file systems.
struct FileSystemRules {
  std::string_view types;    // names of the types, with blanks between
  std::string_view options;  // the same of its options, in the notation of option_rules.cc
  // Made by a mount.<type> program only: the kernel's own type of that name wants a descriptor.
  bool by_helper = false;
  // Its device is a server, or nothing at all: never a path of this host.
  bool elsewhere = false;
};

// nullptr for a type that is not listed.
const FileSystemRules* find_rules(std::string_view type);

// kInvalidArgument naming the option, and what is allowed, unless `type` may have option `key` with
// that value (nullopt: a word without "="). Types that are not listed may have options of any name
// that doesn't speak of programs.
Status check_option(std::string_view type, std::string_view key,
                    const std::optional<std::string>& value);

// Whether the option's value is a path of the host, or several with ":" between.
bool takes_paths(std::string_view type, std::string_view key);

// A password or the like: never shown in an error.
bool is_secret_option(std::string_view key);

// Whether mount.fuse may be asked to start the program of that name.
bool is_fuse_program(std::string_view name);

// Whether the text may stand in the options of a mount.<type> program: nothing that its parser, or
// a shell of its, could take for more than one value. (Commas never get that far.)
bool is_safe_for_helper(std::string_view text);

}  // namespace holdfast
