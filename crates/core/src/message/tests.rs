use super::DeliveryStatus::{self, Delivered, Expired, Failed, Pending};
use crate::transition::StateMachine;

#[test]
fn a_delivery_has_exactly_these_moves() {
    let allowed: Vec<(DeliveryStatus, DeliveryStatus)> = DeliveryStatus::ALL
        .iter()
        .flat_map(|from| DeliveryStatus::ALL.iter().map(move |to| (*from, *to)))
        .filter(|(from, to)| from.allows(*to))
        .collect();
    assert_eq!(
        allowed,
        [
            (Pending, Delivered),
            (Pending, Failed),
            (Pending, Expired),
            (Failed, Delivered),
            (Expired, Delivered),
        ]
    );
}
