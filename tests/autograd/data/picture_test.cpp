#include "autograd/data/picture.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "autograd/data/augmentation.h"
#include "autograd/data/picture_set.h"
#include "autograd/data/split.h"

namespace inkling {
namespace {

// A folder that goes when the test ends.
class Folder {
 public:
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "pictures-XXXXXX").string();
    path = mkdtemp(name.data());
  }
  ~Folder() { std::filesystem::remove_all(path); }
  void add(const std::string& name, ByteSpan bytes) const {
    ASSERT_TRUE(write_file(path / name, bytes));
  }
  Path path;
};

Picture colored(std::size_t height, std::size_t width, std::uint8_t value) {
  const PictureSize size{height, width, 3};
  return {size, Bytes(size.bytes(), value)};
}

Bytes png(std::uint8_t value) { return *encode_png(colored(4, 6, value)); }

TEST(Picture, PngComesBackAsItWent) {
  Picture picture = colored(3, 5, 0);
  for (std::size_t i = 0; i < picture.pixels.size(); ++i)
    picture.pixels[i] = static_cast<std::uint8_t>(i * 5);
  const auto back = decode_picture(*encode_png(picture), 3);
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(back->size, picture.size);
  EXPECT_EQ(back->pixels, picture.pixels);
}

TEST(Picture, RefusesWhatIsNoPictureOrOnlyPartOfOne) {
  EXPECT_EQ(decode_picture(as_bytes("hello"), 3).error().code, ErrorCode::kCorrupt);
  const Bytes whole = png(9);
  for (std::size_t length = 0; length + 12 < whole.size(); ++length)
    EXPECT_FALSE(decode_picture(ByteSpan(whole).first(length), 3)) << length;
}

// A PNG header that promises 60,000 x 60,000 pixels, with its checksum.
TEST(Picture, RefusesAPictureThatIsTooLargeBeforeItIsDecoded) {
  const Bytes header = {0x89, 'P', 'N', 'G', 0x0d, 0x0a, 0x1a, 0x0a, 0,    0, 0,    13,
                        'I',  'H', 'D', 'R', 0,    0,    0xea, 0x60, 0,    0, 0xea, 0x60,
                        8,    0,   0,   0,   0,    0xa5, 0xb9, 0x2a, 0x9e, 0, 0,    0,
                        0,    'I', 'D', 'A', 'T',  0x35, 0xaf, 0x06, 0x1e};
  const auto large = decode_picture(header, 1);
  ASSERT_FALSE(large);
  EXPECT_EQ(large.error().code, ErrorCode::kResourceLimit) << large.error().message;
}

TEST(Picture, ResizingKeepsAnEvenColour) {
  const Picture small = resize(colored(50, 40, 77), 7, 9);
  EXPECT_EQ(small.size, (PictureSize{7, 9, 3}));
  for (const std::uint8_t v : small.pixels) EXPECT_EQ(v, 77);
}

TEST(Augmentation, FlipsAndMovesWhatItIsTold) {
  const PictureSize size{2, 3, 1};
  const Bytes pixels = {1, 2, 3, 4, 5, 6};
  std::set<std::string> seen;
  for (std::uint64_t i = 0; i < 64; ++i) {
    Rng rng(1, "augment", i);
    Bytes out(6);
    augment(pixels, size, {.flip = true}, rng, out);
    seen.insert(to_hex(out));
  }
  EXPECT_EQ(seen, (std::set<std::string>{"010203040506", "030201060504"}));
  seen.clear();
  for (std::uint64_t i = 0; i < 256; ++i) {
    Rng rng(1, "augment", i);
    Bytes out(6);
    augment(pixels, size, {.shift = 1}, rng, out);
    seen.insert(to_hex(out));
  }
  EXPECT_EQ(seen.size(), 9u);  // three places each way
  EXPECT_TRUE(seen.contains("000102000405"));
  EXPECT_TRUE(seen.contains("000000010203"));
}

TEST(Augmentation, TheSameSeedGivesTheSamePicture) {
  const Picture picture = colored(8, 8, 100);
  const Augmentation how{.flip = true, .shift = 2, .color = 0.5, .cutout = 3};
  Bytes a(picture.size.bytes()), b(picture.size.bytes());
  Rng first(7, "augment", 1), second(7, "augment", 1);
  augment(picture.pixels, picture.size, how, first, a);
  augment(picture.pixels, picture.size, how, second, b);
  EXPECT_EQ(a, b);
  EXPECT_NE(a, picture.pixels);
}

TEST(PictureSet, ReadsAFolderPerClassAndListsWhatItSkips) {
  const Folder folder;
  folder.add("dog/1.png", png(1));
  folder.add("cat/1.png", png(2));
  folder.add("cat/2.png", as_bytes("not a picture"));
  folder.add("cat/notes.txt", as_bytes("not even called one"));
  const auto set = read_pictures({.path = folder.path, .size = {2, 2, 1}});
  ASSERT_TRUE(set) << set.error().message;
  EXPECT_EQ(set->classes, (std::vector<std::string>{"cat", "dog"}));
  EXPECT_EQ(set->labels, (std::vector<std::uint32_t>{0, 1}));
  EXPECT_EQ(set->names, (std::vector<std::string>{"cat/1.png", "dog/1.png"}));
  EXPECT_EQ(set->pixels, (Bytes{2, 2, 2, 2, 1, 1, 1, 1}));
  ASSERT_EQ(set->skipped.size(), 1u);
  EXPECT_EQ(set->skipped[0].file, "cat/2.png");
}

TEST(PictureSet, NamesTheClassThatHasNothing) {
  const Folder folder;
  folder.add("dog/1.png", png(1));
  std::filesystem::create_directories(folder.path / "cat");
  const auto empty = read_pictures({.path = folder.path, .size = {}});
  ASSERT_FALSE(empty);
  EXPECT_NE(empty.error().message.find("'cat'"), std::string::npos) << empty.error().message;
  folder.add("cat/1.png", as_bytes("broken"));
  const auto broken = read_pictures({.path = folder.path, .size = {}});
  ASSERT_FALSE(broken);
  EXPECT_NE(broken.error().message.find("'cat'"), std::string::npos) << broken.error().message;
}

TEST(PictureSet, RefusesASingleClass) {
  const Folder folder;
  folder.add("dog/1.png", png(1));
  const auto set = read_pictures({.path = folder.path, .size = {}});
  ASSERT_FALSE(set);
  EXPECT_EQ(set.error().code, ErrorCode::kInvalidArgument);
}

TEST(PictureSet, ReadsALabelFileWithGroups) {
  const Folder folder;
  folder.add("a.png", png(1));
  folder.add("b.png", png(2));
  folder.add("labels.csv", as_bytes("file,label,group\r\na.png,x,anna\nb.png,y,bert\n"));
  const auto set = read_pictures({.path = folder.path / "labels.csv", .size = {}});
  ASSERT_TRUE(set) << set.error().message;
  EXPECT_EQ(set->groups, (std::vector<std::string>{"anna", "bert"}));
  EXPECT_EQ(set->size, (PictureSize{4, 6, 3}));
  const auto unknown =
      read_pictures({.path = folder.path / "labels.csv", .size = {}, .classes = {"x", "z"}});
  ASSERT_FALSE(unknown);
  EXPECT_NE(unknown.error().message.find("label 'y'"), std::string::npos);
}

TEST(PictureSet, RefusesALabelFileThatDoesNotParse) {
  const Folder folder;
  for (const char* text :
       {"", "a,b\n", "file,label\n", "file,label\na.png\n", "file,label\n,x\n"}) {
    folder.add("labels.csv", as_bytes(text));
    EXPECT_FALSE(read_pictures({.path = folder.path / "labels.csv", .size = {}})) << text;
  }
}

TEST(Split, TakesTheSameShareOfEachClass) {
  std::vector<std::uint32_t> labels;
  for (std::uint32_t i = 0; i < 100; ++i) labels.push_back(i < 20 ? 0 : 1);
  const Split split = split_rows(labels, {}, 0.25, 1);
  EXPECT_EQ(split.validation.size(), 25u);
  EXPECT_EQ(std::count_if(split.validation.begin(), split.validation.end(),
                          [](std::size_t row) { return row < 20; }),
            5);
  EXPECT_EQ(split.train.size(), 75u);
  EXPECT_EQ(split_rows(labels, {}, 0.25, 1).train, split.train);
  EXPECT_NE(split_rows(labels, {}, 0.25, 2).train, split.train);
}

TEST(Split, KeepsGroupsWhole) {
  std::vector<std::uint32_t> labels;
  std::vector<std::string> groups;
  for (std::uint32_t i = 0; i < 60; ++i) {
    labels.push_back(i % 2);
    groups.push_back(concat("person ", i / 6));
  }
  const Split split = split_rows(labels, groups, 0.3, 1);
  std::set<std::string> held;
  for (const std::size_t row : split.validation) held.insert(groups[row]);
  for (const std::size_t row : split.train) EXPECT_FALSE(held.contains(groups[row]));
  EXPECT_EQ(split.train.size() + split.validation.size(), 60u);
  EXPECT_FALSE(held.empty());
}

TEST(Split, FewOfEachIsSeeded) {
  const std::vector<std::uint32_t> labels = {0, 0, 0, 1, 1, 1, 1, 2};
  const auto few = few_of_each(labels, 2, 1);
  EXPECT_EQ(few.size(), 5u);
  EXPECT_EQ(few, few_of_each(labels, 2, 1));
}

}  // namespace
}  // namespace inkling
