//! The vectors are the vendor's: its public demo key, and tickets equal to those of its own generators at a frozen clock.
#![allow(clippy::unwrap_used)]
use super::*;

const APP: u32 = 1_400_000_000;
const KEY: &str = "5bd2850fff3ecb11d7c805251c51ee463a25727bddc2385f3fa8bfee1bb93b5e";
const ISSUED: u64 = 1_700_000_000;
const USER_SIG: &str = "eJyrVgrxCdYrSy1SslIy0jNQ0gHzM1NS80oy0zLBwhWZiflZpXlQqeKU7MSCgswUJStDEwMogMikVhRkFqUCxU1NTY3goiWZuSAxc1S1xZnpQJN9yhzNU-Q9y83Tg4vzirPLwqqcXAL8nZ1dkkr9nMtN3D3KQ5wNkjILtJ1MbJVqAa3HMfI_";
/// The same in one stored block, as the Go generator makes it.
const USER_SIG_STORED: &str = "eAEBqwBU-3siVExTLnZlciI6IjIuMCIsIlRMUy5pZGVudGlmaWVyIjoieGlhb2p1biIsIlRMUy5zZGthcHBpZCI6MTQwMDAwMDAwMCwiVExTLmV4cGlyZSI6MTU1NTIwMDAsIlRMUy50aW1lIjoxNzAwMDAwMDAwLCJUTFMuc2lnIjoiTHZBN2QvSXc3Z1NzbnNrdlZ6QkRQT0NDRGJ1TkN3NEdId1RDMGJpcCtCND0ifa3HMfI_";
const NUMBER_KEY: &str = "eJxVjVsLgkAQhf-LvhbeSCqhhy1EBQkrIejNdddt0lS8tRL991azoPMyzHfOnHmi0D8pHauQhQxFQ-NxB8ryBhIYsYCouLX5ZNU0jcoSKLL0hTbp4zBRQsUkN03T*NEG7gNb-mfbmlWkTWQ7xthlTnYlRqmTbN*HXJJdfLiktooHBatxfN8Dl0f9GnfEFA*Xe7zAW*JEqR-ZmqhnnUr92AsYJ*ckJkff26DXG6ubQ7k_";
const TEXT_KEY: &str = "eJxVjkELgkAUhP-LXg3b1SQTPAiJJlJW1sGb5qovzXTVNKL-npkFzenNN8PwHsi19-yNMqQggcdoMngIaV5DBAPuwL*em3yMqjD1iwJCpJAZHvVJaFcAoz2XJEn40Roubzb-7zYVZUET9evaVjOpkSWBUJAgW9-dWBvkpfp0OBxZG0niGVbpC636fQXifkC02EZ0OkYYbuWqMuJyJ56IxS2t0LRxSTnQF6vDEWfuQUXPF8wZRj4_";

fn ticket() -> Ticket {
    Ticket { user: UserId::new("xiaojun").unwrap(), sdk_app_id: APP, issued_at_s: ISSUED, expire_s: 15_552_000 }
}

fn at<'a>(user: &'a UserId, now_s: u64) -> Expected<'a> {
    Expected { user, sdk_app_id: APP, secret_key: KEY, now_s }
}

/// The JSON of a ticket.
fn json(text: &str) -> serde_json::Value {
    serde_json::from_slice(&inflate(&STANDARD.decode(from_ticket_alphabet(text)).unwrap()).unwrap()).unwrap()
}

#[test]
fn the_vendors_tickets_are_accepted() {
    let user = &ticket().user;
    for sig in [USER_SIG, USER_SIG_STORED] {
        assert_eq!(verify_user_sig(sig, &at(user, ISSUED + 1)), Ok(ticket()));
    }
    let number = verify_private_map_key(NUMBER_KEY, &at(user, ISSUED)).unwrap();
    assert_eq!(
        (number.room, number.privileges, number.expires_at_s),
        (RoomId::Number(10_000), Privileges::ALL, 1_715_552_000)
    );
    let text = verify_private_map_key(TEXT_KEY, &at(user, ISSUED)).unwrap();
    assert_eq!((text.room, text.privileges), (RoomId::text("adbjkl").unwrap(), Privileges::ALL));
}

#[test]
fn ours_say_the_same_as_the_vendors() {
    assert_eq!(json(&ticket().sign_user_sig(KEY)), json(USER_SIG));
    let number = ticket().sign_private_map_key(KEY, RoomId::number(10_000).unwrap(), Privileges::ALL);
    assert_eq!(json(&number), json(NUMBER_KEY));
    let text = ticket().sign_private_map_key(KEY, RoomId::text("adbjkl").unwrap(), Privileges::ALL);
    assert_eq!(json(&text), json(TEXT_KEY));
}

#[test]
fn neither_passes_for_the_other() {
    let user = &ticket().user;
    assert_eq!(verify_user_sig(NUMBER_KEY, &at(user, ISSUED)), Err(TicketError::NotAUserSig));
    assert_eq!(verify_private_map_key(USER_SIG, &at(user, ISSUED)), Err(TicketError::NotAPrivateMapKey));
}

#[test]
fn times_and_holders_are_exact() {
    let (user, other) = (&ticket().user, &UserId::new("xiaojum").unwrap());
    let end = ticket().expires_at_s();
    for (check, refused) in [
        (at(user, end), None),
        (at(user, end + 1), Some(TicketError::Expired)),
        (at(user, ISSUED - SKEW_MAX_S), None),
        (at(user, ISSUED - SKEW_MAX_S - 1), Some(TicketError::NotYetValid)),
        (at(other, ISSUED), Some(TicketError::OtherUser)),
        (Expected { sdk_app_id: APP + 1, ..at(user, ISSUED) }, Some(TicketError::OtherApplication)),
        (Expected { secret_key: &KEY.replace('5', "6"), ..at(user, ISSUED) }, Some(TicketError::Signature)),
    ] {
        assert_eq!(verify_user_sig(USER_SIG, &check).err(), refused);
        assert_eq!(verify_private_map_key(NUMBER_KEY, &check).err(), refused);
    }
}

#[test]
fn nothing_changed_or_oversized_passes() {
    let user = &ticket().user;
    let check = |text: &str| verify_user_sig(text, &at(user, ISSUED)).unwrap_err();
    assert_eq!(check(&"e".repeat(TICKET_MAX_BYTES + 1)), TicketError::TooLong);
    assert!(matches!(check(""), TicketError::Malformed(_)));
    assert!(matches!(check("never a ticket"), TicketError::Malformed(_)));
    // Another identifier, another lifetime, a userbuf put in: the signature covers them all.
    let pack = |json: &str| {
        let mut zlib = ZlibEncoder::new(Vec::new(), flate2::Compression::best());
        zlib.write_all(json.as_bytes()).unwrap();
        to_ticket_alphabet(&STANDARD.encode(zlib.finish().unwrap()))
    };
    let good = json(USER_SIG).to_string();
    assert_eq!(verify_user_sig(&pack(&good), &at(user, ISSUED)), Ok(ticket()));
    for changed in [
        good.replace("15552000", "25552000"),
        good.replace("1700000000", "1700000001"),
        good.replace("\"TLS.ver\"", "\"TLS.userbuf\":\"AAAA\",\"TLS.ver\""),
    ] {
        assert_eq!(check(&pack(&changed)), TicketError::Signature, "{changed}");
    }
    // 4 KB that inflate to 2.5 MB.
    let bomb = pack(&format!("{}{good}", " ".repeat(2_500_000)));
    assert!(bomb.len() <= TICKET_MAX_BYTES, "{}", bomb.len());
    assert_eq!(check(&bomb), TicketError::TooLong);
    assert_eq!(check(&pack(&format!("{}{good}", " ".repeat(JSON_MAX_BYTES - good.len() + 1)))), TicketError::TooLong);
    let full = pack(&format!("{}{good}", " ".repeat(JSON_MAX_BYTES - good.len())));
    assert_eq!(verify_user_sig(&full, &at(user, ISSUED)), Ok(ticket()));
}

#[test]
fn every_cut_of_a_room_key_is_refused() {
    let key = verify_private_map_key(TEXT_KEY, &at(&ticket().user, ISSUED)).unwrap();
    let bytes = key.to_bytes();
    assert_eq!(RoomKey::from_bytes(&bytes), Ok(key));
    for len in 0..bytes.len() {
        assert!(RoomKey::from_bytes(&bytes[..len]).is_err(), "{len} bytes");
    }
    assert!(RoomKey::from_bytes(&[&bytes[..], &[0]].concat()).is_err());
}
