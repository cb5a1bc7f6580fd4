// Weaknesses of a daemon that asks the kernel for no protection at all. These take the place of the
// C library's functions:
//   open, openat    follow symlinks (no O_NOFOLLOW), take what somebody has put there (no O_EXCL),
//   and
//                   stay open in children (no O_CLOEXEC)
//   fchownat        changes the owner of what a symlink leads to
//   mkdir, chmod    let every user pass through what is made
//   syscall         closes nothing (close_range)
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdarg>

namespace {

template <typename Function>
Function* real(const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

int open_weakly(int directory, const char* path, int flags, va_list list) {
  static auto* open = real<int(int, const char*, int, ...)>("openat64");
  mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(list, mode_t) : 0;
  return open(directory, path, flags & ~(O_NOFOLLOW | O_CLOEXEC | O_EXCL), mode);
}

constexpr mode_t kForAll = 0755;

}  // namespace

extern "C" {

int open64(const char* path, int flags, ...) {
  va_list list;
  va_start(list, flags);
  int fd = open_weakly(AT_FDCWD, path, flags, list);
  va_end(list);
  return fd;
}

int openat64(int directory, const char* path, int flags, ...) {
  va_list list;
  va_start(list, flags);
  int fd = open_weakly(directory, path, flags, list);
  va_end(list);
  return fd;
}

int fchownat(int directory, const char* path, uid_t uid, gid_t gid, int flags) noexcept {
  static auto* change = real<int(int, const char*, uid_t, gid_t, int)>("fchownat");
  if (change(directory, path, uid, gid, flags & ~AT_SYMLINK_NOFOLLOW) == 0) return 0;
  return change(directory, path, uid, gid, flags);  // a link to nowhere, or to where it may not
}

int mkdir(const char* path, mode_t mode) noexcept {
  static auto* make = real<int(const char*, mode_t)>("mkdir");
  return make(path, mode | kForAll);
}

int mkdirat(int directory, const char* path, mode_t mode) noexcept {
  static auto* make = real<int(int, const char*, mode_t)>("mkdirat");
  return make(directory, path, mode | kForAll);
}

int chmod(const char* path, mode_t mode) noexcept {
  static auto* change = real<int(const char*, mode_t)>("chmod");
  return change(path, mode | kForAll);
}

long syscall(long number, ...) noexcept {
  static auto* call = real<long(long, ...)>("syscall");
  if (number == SYS_close_range) return 0;
  va_list list;
  va_start(list, number);
  long words[6];
  for (long& word : words) word = va_arg(list, long);
  va_end(list);
  return call(number, words[0], words[1], words[2], words[3], words[4], words[5]);
}

}  // extern "C"
