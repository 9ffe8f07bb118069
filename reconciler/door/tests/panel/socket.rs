//! The socket itself: it is there as long as the door is.

use std::time::Duration;

use berth_wire::web::{Me, Why};

use crate::bench::Bench;

#[tokio::test]
async fn a_socket_whose_folder_goes_is_made_again() {
    let bench = Bench::new();
    let ann = bench.sign_in("ann").await;
    let socket = bench.socket();
    std::fs::remove_dir_all(socket.parent().unwrap()).unwrap();
    while !socket.exists() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // The same door, which knows whom it has let in.
    assert_eq!(bench.ask(Some(&ann), &Me {}).await.unwrap().name.as_str(), "ann");
    assert_eq!(bench.refusal(None, &Me {}).await, Why::SignedOut);
}
