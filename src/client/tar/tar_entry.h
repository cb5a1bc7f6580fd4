#pragma once

#include <cstdint>
#include <string>

namespace holdfast::client {

constexpr std::size_t kTarBlock = 512;

// One member of an archive; the type letters are those of POSIX ustar.
struct TarEntry {
  enum Type : char {
    kFile = '0',
    kHardLink = '1',
    kSymlink = '2',
    kCharDevice = '3',
    kBlockDevice = '4',
    kDirectory = '5',
    kFifo = '6',
  };
  std::string name;
  std::string link;
  char type = kFile;
  unsigned mode = 0644;
  std::uint64_t uid = 0, gid = 0;
  std::uint64_t size = 0;
  std::int64_t mtime = 0;  // seconds
  long mtime_nanos = 0;
  unsigned major = 0, minor = 0;
};

}  // namespace holdfast::client
