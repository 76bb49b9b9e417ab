#!/bin/busybox sh
# The guest's first program: every format of vivid's camera, then calls with it. Ends by itself; what was said goes to the
# serial line.
export PATH=/bin HOME=/ TMPDIR=/
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
ifconfig lo 127.0.0.1 up
for module in $(cat /modules/order); do insmod /modules/$module 2>/dev/null; done

# until_said FILE PATTERN [TIMES]: waits until so many lines of a file match, or a minute is over.
until_said() {
    for i in $(seq 200); do
        [ "$(grep -c "$2" "$1")" -ge "${3:-1}" ] && return 0
        sleep 0.3
    done
    echo "{\"event\": \"missing\", \"file\": \"$1\", \"pattern\": \"${2//\"/}\"}" >> /said/script
    return 1
}
join="trtc join --dev --room vm --json --seconds 600"
pictures_of() { until_said /said/eye "\"frames\".*\"$1\"" "$2"; }

mkdir /said /seen
echo > /said/script
camera
echo "camera ended with $?"

trtc serve --dev > /said/serve 2>/said/serve.err &
until_said /said/serve '"ready"'
$join --user eye --subscribe --save /seen > /said/eye 2>/said/eye.err & eye=$!
until_said /said/eye '"joined"'

# By the command line; the camera is pulled out in the call and comes back.
$join --user line --publish camera --size 320x180 --fps 5 --kbps 150 > /said/line 2>/said/line.err & line=$!
pictures_of line 15
$join --user late --publish camera > /said/late 2>/said/late.err & late=$!
until_said /said/late '"code":1114'
kill $late; wait $late
driver=/sys/bus/platform/drivers/vivid
echo vivid.0 > $driver/unbind
until_said /said/line '"code":1116'
until_said /said/line '"state":1,'
echo vivid.0 > $driver/bind
before=$(grep -c '"frames".*"line"' /said/eye)
pictures_of line $((before + 10))
kill $line; wait $line; echo "line ended with $?" >> /said/script

# By the C door.
devices ws://127.0.0.1:7880 "$(trtc token jwt --room vm --identity door)" mic camera > /said/door 2>/said/door.err & door=$!
pictures_of door 15
kill $door; wait $door; echo "door ended with $?" >> /said/script
kill $eye; wait $eye; echo "eye ended with $?" >> /said/script

echo
for each in script serve line late door eye; do
    echo "file $each"
    grep -v '"statistics"\|"network_quality"\|"frames","frames"\|"event":"message"' /said/$each
done
for each in /said/*.err; do
    echo "file $each"
    tail -n 5 $each
done
for each in /seen/*.png; do
    echo "picture $each"
    base64 $each
    echo "picture end"
done
poweroff -f
