#include "autograd/data/picture.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "autograd/data/augmentation.h"
#include "autograd/data/picture_set.h"
#include "autograd/data/pictures_ahead.h"
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

// Pictures of several sizes with 1 or 3 channels, half of them with all pixels different.
void add_various(const Folder& folder) {
  for (std::size_t i = 0; i < 8; ++i) {
    const PictureSize size{5 + i, 9 - i, i % 3 == 0 ? std::size_t{1} : std::size_t{3}};
    Picture picture{size, Bytes(size.bytes())};
    for (std::size_t p = 0; p < picture.pixels.size(); ++p)
      picture.pixels[p] = static_cast<std::uint8_t>((p * 37 + i * 11) % 251);
    folder.add(concat(i % 2 == 0 ? "cat/" : "dog/", i, ".png"), *encode_png(picture));
  }
  folder.add("cat/3.png", as_bytes("not a picture"));
}

TEST(PictureSet, WhatIsNotKeptIsDecodedAgainToTheSameBits) {
  const Folder folder;
  add_various(folder);
  for (const PictureSize size : {PictureSize{}, PictureSize{6, 4, 3}, PictureSize{3, 3, 1}}) {
    const auto whole = read_pictures({.path = folder.path, .size = size});
    ASSERT_TRUE(whole) << whole.error().message;
    ASSERT_EQ(whole->count(), 8u);
    EXPECT_EQ(whole->kept(), 8u);
    EXPECT_EQ(whole->pixels.size(), 8 * whole->size.bytes());
    const std::size_t one = whole->size.bytes();
    for (const auto& [bytes, kept] : std::vector<std::pair<std::size_t, std::size_t>>{
             {0, 0}, {one - 1, 0}, {one, 1}, {3 * one, 3}, {8 * one - 1, 7}, {8 * one, 8}}) {
      const auto set = read_pictures({.path = folder.path, .size = size, .kept_bytes_max = bytes});
      ASSERT_TRUE(set) << set.error().message;
      EXPECT_EQ(set->kept(), kept);
      EXPECT_EQ(set->pixels.size(), kept * one);
      EXPECT_LE(set->pixels.capacity(), kept * one);
      EXPECT_EQ(set->names, whole->names);
      EXPECT_EQ(set->labels, whole->labels);
      EXPECT_EQ(set->size, whole->size);
      EXPECT_EQ(set->skipped.size(), 1u);
      for (std::size_t i = 0; i < set->count(); ++i) {
        Bytes room, other;
        const auto a = set->picture(i, room), b = whole->picture(i, other);
        ASSERT_TRUE(a) << a.error().message;
        ASSERT_TRUE(b) << b.error().message;
        EXPECT_EQ(to_hex(*a), to_hex(*b)) << i;
      }
    }
  }
}

TEST(PictureSet, NamesAFileThatChangedOrWent) {
  const Folder folder;
  add_various(folder);
  const auto set = read_pictures({.path = folder.path, .size = {}, .kept_bytes_max = 0});
  ASSERT_TRUE(set) << set.error().message;
  Bytes room;
  folder.add("cat/0.png", png(3));
  const auto changed = set->picture(0, room);
  ASSERT_FALSE(changed);
  EXPECT_EQ(changed.error().code, ErrorCode::kFailedPrecondition);
  EXPECT_NE(changed.error().message.find("cat/0.png"), std::string::npos)
      << changed.error().message;
  std::filesystem::remove(folder.path / "cat/0.png");
  const auto gone = set->picture(0, room);
  ASSERT_FALSE(gone);
  EXPECT_NE(gone.error().message.find("cat/0.png"), std::string::npos) << gone.error().message;
  EXPECT_TRUE(set->picture(1, room));
}

TEST(PictureSet, TestPicturesKeepWhatTrainingPicturesLeave) {
  const Folder folder;
  for (const char* side : {"train/", "test/"}) {
    folder.add(concat(side, "a/1.png"), png(1));
    folder.add(concat(side, "b/1.png"), png(2));
  }
  const PictureSize size{2, 2, 1};
  for (std::size_t kept = 0; kept <= 4; ++kept) {
    const auto sets = read_picture_sets(
        {.path = folder.path, .size = size, .kept_bytes_max = kept * size.bytes()});
    ASSERT_TRUE(sets) << sets.error().message;
    EXPECT_EQ(sets->train.kept(), std::min<std::size_t>(kept, 2));
    EXPECT_EQ(sets->test->kept(), kept < 2 ? 0 : kept - 2);
  }
}

TEST(PictureSet, RefusesASizeBeyondTheLimit) {
  const Folder folder;
  folder.add("dog/1.png", png(1));
  folder.add("cat/1.png", png(2));
  const std::size_t side = std::size_t{1} << 33;
  const auto set = read_pictures({.path = folder.path, .size = {side, side, 3}});
  ASSERT_FALSE(set);
  EXPECT_EQ(set.error().code, ErrorCode::kResourceLimit) << set.error().message;
}

TEST(PicturesAhead, GivesTheSamePicturesWhateverWasAskedFor) {
  const Folder folder;
  add_various(folder);
  const auto set = read_pictures({.path = folder.path, .size = {6, 4, 3}, .kept_bytes_max = 144});
  ASSERT_TRUE(set) << set.error().message;
  ASSERT_EQ(set->kept(), 2u);
  PicturesAhead ahead(*set);
  const std::vector<std::vector<std::size_t>> steps = {{0, 5, 3}, {7, 7, 2, 1}, {},       {4, 6},
                                                       {5, 3},    {0, 1},       {2, 3, 4}};
  for (std::size_t step = 0; step < steps.size(); ++step) {
    // Each step also takes one that was not asked for, and every third step nothing is asked for.
    auto rows = steps[step];
    rows.push_back((step * 3) % 8);
    for (const std::size_t row : rows) {
      Bytes room, other;
      const auto a = ahead.picture(row, room), b = set->picture(row, other);
      ASSERT_TRUE(a) << a.error().message;
      EXPECT_EQ(to_hex(*a), to_hex(*b)) << row;
    }
    if (step % 3 != 2 && step + 1 < steps.size()) ahead.ask(steps[step + 1]);
  }
}

TEST(PicturesAhead, SaysWhenAPictureIsUsedThatItsFileIsGone) {
  const Folder folder;
  add_various(folder);
  const auto set = read_pictures({.path = folder.path, .size = {}, .kept_bytes_max = 0});
  ASSERT_TRUE(set) << set.error().message;
  std::filesystem::remove(folder.path / "cat/2.png");
  PicturesAhead ahead(*set);
  ahead.ask(std::vector<std::size_t>{0, 1, 2});
  Bytes room;
  EXPECT_TRUE(ahead.picture(0, room));
  const auto gone = ahead.picture(1, room);
  ASSERT_FALSE(gone);
  EXPECT_NE(gone.error().message.find("cat/2.png"), std::string::npos) << gone.error().message;
  EXPECT_TRUE(ahead.picture(2, room));
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
