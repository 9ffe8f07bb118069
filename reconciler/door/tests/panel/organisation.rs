//! The organisation's face, as the door tells it, and its contact in the next steps of refusals.

use berth_repo::Edit;
use berth_wire::web::{FaceRead, Users, UsersOf};

use crate::bench::Bench;

#[tokio::test]
async fn a_refusal_names_the_contact_as_soon_as_main_does() {
    let bench = Bench::new();
    let bob = bench.sign_in("bob").await;
    let everybody = Users { search: String::new(), page: 1, of: UsersOf::All };
    let hint = async || bench.ask(Some(&bob), &everybody).await.unwrap_err().hint.unwrap();
    assert_eq!(hint().await, "Ask an admin.");
    assert_eq!(bench.ask(None, &FaceRead {}).await.unwrap().title, None);

    let face = "[organisation]\ntitle = \"Faculty\"\ncontact = \"https://example.org/help\"\nterms = \"docs/terms.md\"\n";
    let platform = format!("{}{face}", bench.text("platform.toml"));
    bench.commit("a face", &[Edit::write("platform.toml", platform)]);
    assert_eq!(hint().await, "Ask https://example.org/help.");
    let told = bench.ask(None, &FaceRead {}).await.unwrap();
    assert_eq!((told.title.as_deref(), told.terms.as_deref()), (Some("Faculty"), Some("/docs/terms")));
    assert_eq!((told.language.as_str(), told.notice), ("en", None));
}
