#include <fcntl.h>
#include <sys/stat.h>

#include <filesystem>

#include "base/file.h"
#include "base/sha256.h"
#include "fixture.h"
#include "storage/archive/create.h"

namespace holdfast::image {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

// Images made by import and commit: no registry needed.
class ROOT_ImageLifecycle : public ImageTest {
 protected:
  // An image of one file, different for every `content`.
  ImageId import(const std::string& reference, const std::string& content,
                 const std::vector<std::string>& changes = {}) {
    std::string tar;
    archive::Writer writer([&](std::string_view bytes) -> Status {
      tar.append(bytes);
      return {};
    });
    EXPECT_TRUE(writer.file("content", content, 0));
    EXPECT_TRUE(writer.finish());
    ImportRequest request;
    request.reference = reference;
    request.changes = changes;
    auto id = images_->import(archive::read_from(std::string_view(tar)), request, progress(),
                              cancellation_);
    EXPECT_TRUE(id) << id.error().message;
    return id.value_or(ImageId());
  }
  ImageId commit(const ImageId& parent, const std::string& reference, const std::string& content) {
    CommitRequest request;
    request.parent = parent;
    request.reference = reference;
    request.comment = "more";
    auto id = images_->commit(request, [&](const archive::Sink& sink) -> Status {
      archive::Writer writer(sink);
      RETURN_IF_ERROR(writer.file("more", content, 0));
      return writer.finish();
    });
    EXPECT_TRUE(id) << id.error().message;
    return id.value_or(ImageId());
  }
  std::string remove(const std::string& text, bool force = false, const Users& users = nullptr) {
    auto removed = images_->remove(text, {force, true}, users);
    return removed ? json::serialize(to_json(*removed)) : removed.error().message;
  }
  static Users used_by(const ImageId& image, bool running) {
    return [image, running](const ImageId& id) {
      std::vector<User> users;
      if (id == image) users.push_back({ContainerId(std::string(64, 'c')), running});
      return users;
    };
  }
  static std::string short_of(const ImageId& id) { return id.str().substr(7, 12); }
};

TEST_F(ROOT_ImageLifecycle, ImportTakesChanges) {
  auto id = import("app:1", "x", {"CMD [\"/bin/x\"]", "ENV A=b", "LABEL l=m"});
  auto inspected = *images_->inspect("app:1");
  EXPECT_EQ(json::string_or(inspected, "Id"), id.str());
  EXPECT_THAT(json::strings_or_empty(inspected, "RepoTags"), ElementsAre("app:1"));
  auto config = json::object_or_empty(inspected, "Config");
  EXPECT_THAT(json::strings_or_empty(config, "Cmd"), ElementsAre("/bin/x"));
  EXPECT_THAT(json::strings_or_empty(config, "Env"), ElementsAre("A=b"));
  EXPECT_EQ(json::string_or(inspected, "Comment"), "Imported from -");
  EXPECT_EQ(json::int_or(inspected, "Size"), 1);
  EXPECT_THAT(messages(), HasSubstr(id.str()));
  EXPECT_EQ(read_file(images_->layer_paths(id)->at(0) + "/content").value_or(""), "x");
  EXPECT_THAT(events_, ElementsAre("import " + id.str()));
  expect_clean();
  auto refused = images_->import(archive::read_from(std::string_view()), {"Upper", {}, {}, {}, {}},
                                 nullptr, cancellation_);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kInvalidArgument);
}

TEST_F(ROOT_ImageLifecycle, ResolvesNamesAndIds) {
  auto id = import("app:1", "x");
  std::string digits = id.str().substr(7);
  for (const std::string& text : {std::string("app:1"), std::string("docker.io/library/app:1"),
                                  id.str(), digits, digits.substr(0, 12), digits.substr(0, 4)}) {
    auto resolved = images_->resolve(text);
    ASSERT_TRUE(resolved) << text << ": " << resolved.error().message;
    EXPECT_EQ(*resolved, id);
  }
  auto missing = images_->resolve("nope");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().message, "No such image: nope:latest");
  EXPECT_EQ(missing.error().code, Code::kNotFound);
  EXPECT_EQ(images_->resolve("Nope").error().message,
            "invalid reference format: repository name (library/Nope) must be lowercase");
}

TEST_F(ROOT_ImageLifecycle, CommitAddsALayer) {
  auto parent = import("base", "x");
  auto child = commit(parent, "child:2", "y");
  EXPECT_THAT(*images_->layer_paths(child), SizeIs(2));
  EXPECT_EQ(read_file(images_->layer_paths(child)->at(0) + "/more").value_or(""), "y");
  auto history = *images_->history("child:2");
  ASSERT_EQ(history.size(), 2U);
  EXPECT_EQ(json::string_or(history[0].get_object(), "Id"), child.str());
  EXPECT_EQ(json::string_or(history[0].get_object(), "Comment"), "more");
  EXPECT_EQ(json::string_or(history[1].get_object(), "Id"), parent.str());
  EXPECT_EQ(json::string_or(*images_->inspect("child:2"), "Parent"), parent.str());
  expect_clean();
}

TEST_F(ROOT_ImageLifecycle, TagMovesAName) {
  auto first = import("app", "x");
  auto second = import("other", "y");
  ASSERT_TRUE(images_->tag("other", "app", "latest"));
  EXPECT_EQ(*images_->resolve("app"), second);
  EXPECT_TRUE(images_->get(first)->repo_tags.empty());
  reopen();
  EXPECT_EQ(*images_->resolve("app"), second);
  EXPECT_EQ(images_->tag("nope", "x", "y").error().message, "No such image: nope:latest");
  EXPECT_EQ(images_->tag("app", "x", "-bad").error().message, "invalid reference format");
}

TEST_F(ROOT_ImageLifecycle, ListFilters) {
  import("app:1", "x", {"LABEL a=1"});
  auto dangling = import("", "y");
  import("registry.test/team/app:2", "z");
  auto names = [&](const Filters& filters) {
    std::vector<std::string> found;
    auto listed = images_->list(filters, false);
    EXPECT_TRUE(listed) << listed.error().message;
    for (const auto& value : *listed) {
      auto tags = json::strings_or_empty(value.get_object(), "RepoTags");
      found.push_back(tags.empty() ? "" : tags[0]);
    }
    return found;
  };
  EXPECT_THAT(names({}), ElementsAre("registry.test/team/app:2", "", "app:1"));
  EXPECT_THAT(names({{"dangling", "true"}}), ElementsAre(""));
  EXPECT_THAT(names({{"dangling", "false"}}), SizeIs(2));
  EXPECT_THAT(names({{"label", "a"}}), ElementsAre("app:1"));
  EXPECT_THAT(names({{"label", "a=2"}}), IsEmpty());
  EXPECT_THAT(names({{"reference", "app"}}), ElementsAre("app:1"));
  EXPECT_THAT(names({{"reference", "*/*/app:*"}}), ElementsAre("registry.test/team/app:2"));
  EXPECT_THAT(names({{"since", "app:1"}}), ElementsAre("registry.test/team/app:2", ""));
  EXPECT_THAT(names({{"before", dangling.str()}}), ElementsAre("app:1"));
  EXPECT_EQ(images_->list({{"nonsense", "1"}}, false).error().code, Code::kInvalidArgument);
}

TEST_F(ROOT_ImageLifecycle, RemoveByNameThenImage) {
  auto id = import("app:1", "x");
  auto layer = images_->layer_paths(id)->at(0);
  auto chain = "sha256:" + layer.substr(layer.rfind('/') + 1);
  ASSERT_TRUE(images_->tag("app:1", "app", "2"));
  EXPECT_EQ(remove("app:1"), R"([{"Untagged":"app:1"}])");
  EXPECT_EQ(remove("app:2"),
            fmt::format(R"([{{"Untagged":"app:2"}},{{"Deleted":"{}"}},{{"Deleted":"{}"}}])",
                        id.str(), chain));
  EXPECT_EQ(images_->count(), 0U);
  EXPECT_THAT(files("layers"), IsEmpty());
  EXPECT_THAT(files("images/blobs/sha256"), IsEmpty());
  EXPECT_EQ(remove("app:2"), "No such image: app:2");
  EXPECT_THAT(events_, Contains("untag " + id.str()));
  EXPECT_THAT(events_, Contains("delete " + id.str()));
  reopen();
  EXPECT_EQ(images_->count(), 0U);
  expect_clean();
}

TEST_F(ROOT_ImageLifecycle, RemoveConflictsInDockersWords) {
  auto id = import("app:1", "x");
  EXPECT_EQ(remove("app:1", false, used_by(id, false)),
            fmt::format("conflict: unable to remove repository reference \"app:1\" (must force) - "
                        "container cccccccccccc is using its referenced image {}",
                        short_of(id)));
  EXPECT_EQ(remove(id.str(), false, used_by(id, true)),
            fmt::format("conflict: unable to delete {} (cannot be forced) - image is being used by "
                        "running container cccccccccccc",
                        short_of(id)));
  EXPECT_EQ(remove(id.str(), true, used_by(id, true)),
            fmt::format("conflict: unable to delete {} (cannot be forced) - image is being used by "
                        "running container cccccccccccc",
                        short_of(id)));
  EXPECT_EQ(remove(id.str(), false, used_by(id, false)),
            fmt::format("conflict: unable to delete {} (must be forced) - image is being used by "
                        "stopped container cccccccccccc",
                        short_of(id)));
  ASSERT_TRUE(images_->tag("app:1", "other", "1"));
  EXPECT_EQ(remove(id.str()),
            fmt::format("conflict: unable to delete {} (must be forced) - image is referenced in "
                        "multiple repositories",
                        short_of(id)));
  EXPECT_EQ(images_->get(id)->repo_tags.size(), 2U);
  EXPECT_THAT(remove(id.str(), true), HasSubstr("Deleted"));
  EXPECT_EQ(images_->count(), 0U);
}

TEST_F(ROOT_ImageLifecycle, ForcedUntagOfAUsedImageKeepsIt) {
  auto id = import("app:1", "x");
  EXPECT_EQ(remove("app:1", true, used_by(id, true)), R"([{"Untagged":"app:1"}])");
  EXPECT_EQ(images_->count(), 1U);
  EXPECT_EQ(read_file(images_->layer_paths(id)->at(0) + "/content").value_or(""), "x");
}

TEST_F(ROOT_ImageLifecycle, PinnedImagesStay) {
  auto id = import("app:1", "x");
  {
    auto pin = images_->pin(id);
    ASSERT_TRUE(pin);
    EXPECT_THAT(remove(id.str(), true), HasSubstr("conflict: unable to delete"));
  }
  EXPECT_THAT(remove(id.str(), true), HasSubstr("Deleted"));
  EXPECT_EQ(images_->pin(id).error().code, Code::kNotFound);
}

TEST_F(ROOT_ImageLifecycle, ChildrenProtectTheirParent) {
  auto parent = import("base", "x");
  auto child = commit(parent, "child", "y");
  EXPECT_EQ(remove(parent.str(), true),
            fmt::format("conflict: unable to delete {} (cannot be forced) - image has dependent "
                        "child images",
                        short_of(parent)));
  EXPECT_EQ(remove("base"), R"([{"Untagged":"base:latest"}])");
  // The last child takes its nameless parent with it.
  EXPECT_THAT(remove("child"), HasSubstr(parent.str()));
  EXPECT_EQ(images_->count(), 0U);
  expect_clean();
}

TEST_F(ROOT_ImageLifecycle, PruneTakesDanglingOnesUnlessTold) {
  auto named = import("app:1", "x");
  auto dangling = import("", "yy");
  auto used = import("", "z");
  auto pruned = images_->prune({}, used_by(used, false));
  ASSERT_TRUE(pruned);
  ASSERT_THAT(pruned->removed, SizeIs(2));
  EXPECT_EQ(pruned->removed[0].deleted, dangling.str());
  EXPECT_EQ(pruned->space_reclaimed, 2U);
  EXPECT_TRUE(images_->get(named));
  auto all = images_->prune({{"dangling", "false"}}, used_by(used, false));
  ASSERT_TRUE(all);
  EXPECT_FALSE(images_->get(named));
  EXPECT_TRUE(images_->get(used));
  expect_clean();
}

TEST_F(ROOT_ImageLifecycle, SaveAndLoadKeepEverything) {
  auto base = import("base:1", "x", {"LABEL a=b"});
  auto child = commit(base, "child:1", "y");
  std::string path = save({"base:1", "child:1"});
  auto before = json::serialize(*images_->list({}, false));
  ASSERT_THAT(remove("child:1", true), HasSubstr("Deleted"));
  ASSERT_THAT(remove("base:1", true), HasSubstr("Deleted"));
  auto loaded = load(path);
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_THAT(messages(), HasSubstr(R"({"stream":"Loaded image: base:1\n"})"));
  EXPECT_THAT(messages(), HasSubstr(R"({"stream":"Loaded image: child:1\n"})"));
  EXPECT_THAT(messages(), HasSubstr("Loading layer"));
  EXPECT_EQ(*images_->resolve("child:1"), child);
  EXPECT_EQ(sha256_hex(*read_file(save({"base:1", "child:1"}), 64 << 20)),
            sha256_hex(*read_file(path, 64 << 20)));
  expect_clean();
}

TEST_F(ROOT_ImageLifecycle, SaveByIdHasNoName) {
  auto id = import("app:1", "x");
  std::string path = save({id.str()});
  ASSERT_THAT(remove("app:1"), HasSubstr("Deleted"));
  ASSERT_TRUE(load(path));
  EXPECT_THAT(messages(), HasSubstr("Loaded image ID: " + id.str()));
  EXPECT_THAT(images_->get(id)->repo_tags, IsEmpty());
  EXPECT_EQ(
      images_->save({"nope"}, archive::write_to(BorrowedFd(-1)), cancellation_).error().message,
      "No such image: nope:latest");
}

TEST_F(ROOT_ImageLifecycle, OthersReadWhatWeSave) {
  import("app:1", "x");
  std::string path = save({"app:1"});
  EXPECT_THAT(output_of({"skopeo", "inspect", "docker-archive:" + path + ":app:1"}),
              HasSubstr("Layers"));
  std::string layout = directory_.path() + "/layout";
  ASSERT_TRUE(make_directories(layout, 0700));
  output_of({"tar", "-xf", path, "-C", layout});
  EXPECT_THAT(output_of({"skopeo", "inspect", "oci:" + layout + ":1"}), HasSubstr("Layers"));
}

TEST_F(ROOT_ImageLifecycle, LoadsWhatOthersSave) {
  std::string source = "oci:" + image_cache() + "/busybox:latest";
  for (std::string form : {"docker-archive", "oci-archive"}) {
    std::string path = directory_.path() + "/" + form + ".tar";
    output_of({"skopeo", "--insecure-policy", "copy", "-q", source,
               form + ":" + path + ":example.test/" + form + ":v1"});
    auto loaded = load(path);
    ASSERT_TRUE(loaded) << form << ": " << loaded.error().message;
    EXPECT_THAT(messages(), HasSubstr("Loaded image: example.test/" + form + ":v1"));
    EXPECT_EQ(run_in("example.test/" + form + ":v1", {"/bin/echo", form}).out, form + "\n");
    output_of({"gzip", path});
    ASSERT_TRUE(load(path + ".gz")) << form << ".gz";
  }
  expect_clean();
}

TEST_F(ROOT_ImageLifecycle, HostileArchivesLeaveNothing) {
  std::string path = directory_.path() + "/hostile.tar";
  auto write = [&](const std::function<void(archive::Writer&)>& fill) {
    std::filesystem::remove(path);
    auto fd = open_file(path, O_WRONLY | O_CREAT, 0600);
    archive::Writer writer(archive::write_to(*fd));
    fill(writer);
    EXPECT_TRUE(writer.finish());
  };
  write([](archive::Writer& w) { EXPECT_TRUE(w.file("../escape", "x", 0)); });
  EXPECT_EQ(load(path).error().code, Code::kInvalidArgument);
  write([](archive::Writer& w) { EXPECT_TRUE(w.file("unrelated", "x", 0)); });
  EXPECT_THAT(load(path).error().message, HasSubstr("manifest.json"));
  write([](archive::Writer& w) {
    EXPECT_TRUE(w.file("manifest.json",
                       R"([{"Config":"../../../etc/passwd","Layers":[],"RepoTags":["a:b"]}])", 0));
  });
  EXPECT_FALSE(load(path));
  write([](archive::Writer& w) {
    std::string config =
        R"({"rootfs":{"type":"layers","diff_ids":["sha256:)" + std::string(64, '0') + R"("]}})";
    EXPECT_TRUE(w.file("c.json", config, 0));
    EXPECT_TRUE(w.file("layer.tar", std::string(1024, '\0'), 0));
    EXPECT_TRUE(w.file("manifest.json",
                       R"([{"Config":"c.json","Layers":["layer.tar"],"RepoTags":["a:b"]}])", 0));
  });
  auto wrong = load(path);
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().code, Code::kDataLoss);
  EXPECT_EQ(images_->count(), 0U);
  EXPECT_FALSE(file_exists(data_root_ + "/staging/escape"));
  expect_clean();
}

}  // namespace
}  // namespace holdfast::image
