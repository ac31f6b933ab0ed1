"""examples/feed_page over HTTP, as its page uses it: somebody who always takes the dearest camera
sees the dear ones rise, learns why, is forgotten, and no other site may act for them.

Usage: feed_page_test.py CAMERA_FEED FEED_PAGE PAGE.html
"""

import json
import pathlib
import subprocess
import sys
import tempfile
import unittest
import urllib.error
import urllib.request

CAMERA_FEED, FEED_PAGE, PAGE = sys.argv[1:4]
del sys.argv[1:4]
CHOICES = 25


class FeedPage(unittest.TestCase):
    def setUp(self):
        self.scratch = tempfile.TemporaryDirectory()
        folder = pathlib.Path(self.scratch.name)
        subprocess.run([CAMERA_FEED, folder / "feed"], check=True)
        self.server = subprocess.Popen([FEED_PAGE, folder / "feed", folder / "me", PAGE, "0"],
                                       stdout=subprocess.PIPE, text=True)
        self.url = self.server.stdout.readline().strip()

    def tearDown(self):
        self.server.kill()
        self.server.wait()
        self.server.stdout.close()
        self.scratch.cleanup()

    def get(self, path):
        with urllib.request.urlopen(self.url + path, timeout=10) as response:
            return response.read().decode()

    def post(self, path, body=None, content_type="application/json", **headers):
        request = urllib.request.Request(self.url + path, data=json.dumps(body or {}).encode(),
                                         headers={"Content-Type": content_type, **headers})
        with urllib.request.urlopen(request, timeout=10) as response:
            return json.loads(response.read())

    def choose(self, page):
        dearest = max(page["items"], key=lambda item: item["features"]["price"])
        place = page["items"].index(dearest)
        return place, self.post("choose", {"request": page["request"], "item": dearest["item"]})

    def test_the_order_follows_what_is_taken(self):
        self.assertIn("A feed that learns on this device", self.get(""))
        page = json.loads(self.get("feed"))
        self.assertEqual(page["by"], 2)  # the model for everyone
        self.assertEqual(sorted(item["server"] for item in page["items"]), list(range(10)))
        places = []
        for _ in range(CHOICES):
            place, page = self.choose(page)
            places.append(place)
        self.assertEqual(page["chosen"], CHOICES)
        self.assertLess(sum(places[-5:]), sum(places[:5]))
        self.assertLess(sum(places[-5:]) / 5, 1.0)
        first = page["items"][0]["item"]
        reasons = self.post("why", {"request": page["request"], "item": first})["reasons"]
        self.assertTrue(1 <= len(reasons) <= 3)
        self.assertIn(self.post("learn")["by"], (2, 3))
        forgotten = self.post("forget")
        self.assertEqual((forgotten["chosen"], forgotten["by"]), (0, 2))

    def refused(self, **arguments):
        with self.assertRaises(urllib.error.HTTPError) as caught:
            self.post(**arguments)
        return caught.exception.code

    def test_only_its_own_page_may_act(self):
        self.assertEqual(self.refused(path="forget", content_type="text/plain"), 403)
        self.assertEqual(self.refused(path="forget", Host="evil.example:80"), 403)
        self.assertEqual(self.refused(path="choose", body={"request": "x", "item": 1}), 409)
        self.assertEqual(self.refused(path="choose", body=[1]), 400)
        self.assertEqual(self.refused(path="why"), 409)


if __name__ == "__main__":
    unittest.main()
