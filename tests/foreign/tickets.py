"""Tickets and rights with the official Python client: it enters with the token that a UserSig is exchanged for, sees the role of
others, loses and gets back the right to publish, and decides who may have its track. The tickets are made here, by the vendor's
published format, without any code of ours."""
import asyncio
import base64
import hashlib
import hmac
import json
import struct
import time
import urllib.error
import urllib.request
import zlib

from livekit import rtc
from rig import Checks, Lines, Server, TRTC, log_file

ROOM = 123
TONE = struct.pack("<480h", *(8000 if i // 48 % 2 else -8000 for i in range(480)))  # 500 Hz


def user_sig(app, key, user):
    now = int(time.time())
    fields = f"TLS.identifier:{user}\nTLS.sdkappid:{app}\nTLS.time:{now}\nTLS.expire:600\n"
    sig = base64.b64encode(hmac.new(key.encode(), fields.encode(), hashlib.sha256).digest()).decode()
    ticket = {"TLS.ver": "2.0", "TLS.identifier": user, "TLS.sdkappid": app, "TLS.expire": 600, "TLS.time": now, "TLS.sig": sig}
    text = base64.b64encode(zlib.compress(json.dumps(ticket).encode())).decode()
    return text.replace("+", "*").replace("/", "-").replace("=", "_")


def post(server, path, body, bearer=None):
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {bearer}"} if bearer else {})}
    request = urllib.request.Request(server.http + path, json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


class Guest:
    """A member of the official client, and what it saw."""

    def __init__(self):
        self.room, self.attributes, self.permissions, self.tracks = rtc.Room(), {}, [], set()
        self.room.on("participant_attributes_changed", lambda changed, who: self.attributes.update({who.identity: dict(who.attributes)}))
        self.room.on("participant_permissions_changed", lambda who, now: self.permissions.append((who.identity, now.can_publish)))
        self.metadata = {}
        self.room.on("participant_metadata_changed", lambda who, old, new: self.metadata.update({who.identity: (old, new)}))
        self.heard_at = 0.0
        self.room.on("track_subscribed", self.subscribed)
        self.room.on("track_unsubscribed", lambda track, publication, who: self.tracks.discard(publication.sid))

    async def enter(self, url, token):
        await self.room.connect(url, token)
        return self

    async def publish(self):
        source = rtc.AudioSource(48_000, 1)
        track = rtc.LocalAudioTrack.create_audio_track("mic", source)
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
        self.publication = await self.room.local_participant.publish_track(track, options)
        self.sending = asyncio.ensure_future(self.tone(source))
        return self.publication

    async def tone(self, source):
        while True:
            await source.capture_frame(rtc.AudioFrame(TONE, 48_000, 1, 480))

    def subscribed(self, track, publication, who):
        self.tracks.add(publication.sid)
        if track.kind == rtc.TrackKind.KIND_AUDIO:
            self.listening = asyncio.ensure_future(self.listen(rtc.AudioStream(track)))

    async def listen(self, stream):
        async for event in stream:
            if max(event.frame.data) > 2000:
                self.heard_at = time.monotonic()

    def hears(self):
        """Something loud within the last second."""
        return time.monotonic() - self.heard_at < 1


async def until(fits, seconds=15):
    end = time.monotonic() + seconds
    while not fits():
        if time.monotonic() > end:
            return False
        await asyncio.sleep(0.02)
    return True


async def run(checks, server):
    ready = server.lines.wait("ready", 1)
    app, key = ready["sdk_app_id"], ready["secret_key"]

    def body(user, role, **more):
        return {"sdkAppId": app, "userId": user, "userSig": user_sig(app, key, user), "room": ROOM, "role": role, **more}

    status, alice = post(server, "/trtc/v1/token", body("alice", 20))
    checks.that(status == 200 and alice["room"] == "n/123", "a UserSig made in Python is exchanged for a token", alice.get("room"))
    status, refused = post(server, "/trtc/v1/token", {**body("alice", 20), "userId": "mallory"})
    checks.that(status == 401 and refused["code"] == -100018, "for another user it is not", refused)
    anchor = await Guest().enter(alice["url"], alice["token"])
    audience_token = post(server, "/trtc/v1/token", body("bob", 21))[1]["token"]
    audience = await Guest().enter(server.url, audience_token)
    checks.that(await until(lambda: "bob" in anchor.room.remote_participants), "both are in the room")
    seen = anchor.room.remote_participants["bob"].attributes
    checks.that(seen.get("trtc.role") == "audience", "the anchor reads trtc.role of the audience", dict(seen))
    checks.that(audience.room.local_participant.permissions.can_publish is False, "the audience knows that it may not publish")
    try:
        await asyncio.wait_for(audience.publish(), 15)
        checks.that(False, "the audience cannot publish")
    except Exception as error:  # noqa: BLE001 - the client's own error type varies
        checks.that(True, "the audience cannot publish", type(error).__name__)

    status, _ = post(server, "/trtc/v1/role", {"role": 20}, audience_token)
    checks.that(status == 200, "the audience asks to be anchor")
    checks.that(await until(lambda: anchor.attributes.get("bob", {}).get("trtc.role") == "anchor"), "the other client hears of it")
    checks.that(await until(lambda: audience.permissions[-1:] == [("bob", True)]), "the client is told its right", audience.permissions)
    sid = (await asyncio.wait_for(audience.publish(), 15)).sid
    checks.that(await until(lambda: sid in anchor.tracks and anchor.hears()), "now it publishes, and the other hears it")

    # The client has no event for it, neither here nor with livekit-server: judged by what is heard.
    audience.room.local_participant.set_track_subscription_permissions(allow_all_participants=False, participant_permissions=[])
    checks.that(await until(lambda: not anchor.hears()), "the publisher takes the permission away: silence")
    await asyncio.sleep(1)
    checks.that(not anchor.hears(), "which lasts")
    audience.room.local_participant.set_track_subscription_permissions(allow_all_participants=True)
    checks.that(await until(anchor.hears), "and gives it back: it is heard again")

    post(server, "/trtc/v1/role", {"role": 21}, audience_token)
    checks.that(await until(lambda: sid not in anchor.tracks), "as audience again its track is gone")
    checks.that(await until(lambda: audience.permissions[-1:] == [("bob", False)]), "and its right", audience.permissions)

    # Attributes of one's own, with the right and without.
    stock = await Guest().enter(server.url, server.token("n/123", "stock", canUpdateOwnMetadata=True))
    await stock.room.local_participant.set_attributes({"seat": "4"})
    checks.that(await until(lambda: anchor.attributes.get("stock", {}).get("seat") == "4"), "attributes set by a client arrive")
    # The Python client does not say that it was refused.
    await asyncio.wait_for(anchor.room.local_participant.set_attributes({"trtc.role": "king"}), 15)
    await stock.room.local_participant.set_attributes({"seat": "5"})
    checks.that(await until(lambda: anchor.attributes.get("stock", {}).get("seat") == "5"), "a later change arrives")
    role = dict(stock.room.remote_participants["alice"].attributes)
    checks.that(role == {"trtc.role": "anchor"} and "alice" not in stock.attributes, "what had no right does not", role)

    await stock.room.local_participant.set_metadata("seat 5, by the window")
    told = lambda *pair: anchor.metadata.get("stock") == pair
    checks.that(await until(lambda: told("", "seat 5, by the window")), "metadata set by a client arrives", anchor.metadata)
    await asyncio.wait_for(anchor.room.local_participant.set_metadata("of no right"), 15)
    await stock.room.local_participant.set_metadata("standing")
    checks.that(await until(lambda: told("seat 5, by the window", "standing")), "and a later change", anchor.metadata)
    checks.that("alice" not in stock.metadata and not stock.room.remote_participants["alice"].metadata, "without the right it does not", stock.metadata)

    # Our library switches its role; the Python client reads it.
    ours = Lines(
        [TRTC, "join", "--url", server.url, "--user-sig", user_sig(app, key, "ours"), "--user", "ours", "--room-id", str(ROOM),
         "--role", "audience", "--switch-role-at", "2", "--publish", "pattern", "--subscribe", "--seconds", "6", "--json"],
        stderr=log_file("ours"))
    checks.that(ours.wait("joined", 20), "our library enters with the UserSig")
    checks.that(await until(lambda: "ours" in anchor.room.remote_participants), "the Python client sees it")
    checks.that(anchor.room.remote_participants["ours"].attributes.get("trtc.role") == "audience", "as audience")
    checks.that(await until(lambda: anchor.attributes.get("ours", {}).get("trtc.role") == "anchor"), "then as anchor")
    checks.that(await until(lambda: len(anchor.tracks) == 2), "and receives its two tracks", anchor.tracks)
    switched = ours.wait("switch_role", 5)
    checks.that(switched and switched["code"] == 0, "our library says so too", switched)


def main():
    checks, server = Checks(), Server("trtc")
    asyncio.run(run(checks, server))
    server.kill()
    checks.finish()


main()
