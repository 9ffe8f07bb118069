use super::*;

const HOME: &str = "/var/lib/docker/100000.100000/overlay2";

fn line(at: &str, rest: &str) -> String {
    format!("1204 31 0:61 / {at} rw,relatime shared:512 - {rest}\n")
}

fn find(text: &str, path: &str) -> Result<Overlay, OverlayError> {
    Overlay::find(text.as_bytes(), Path::new(path))
}

#[test]
fn layers_are_found_as_the_engine_of_20_10_writes_them() {
    let merged = format!("{HOME}/abc/merged");
    let text = line("/", "ext4 /dev/vda rw")
        + &line(
            &merged,
            &format!(
                "overlay overlay rw,lowerdir={HOME}/l/AAA:{HOME}/l/BBB,upperdir={HOME}/abc/diff,workdir={HOME}/abc/work,index=off"
            ),
        );
    let overlay = find(&text, &merged).unwrap();
    assert_eq!(overlay.lower, [format!("{HOME}/l/AAA"), format!("{HOME}/l/BBB")].map(PathBuf::from));
    assert_eq!(
        (overlay.folder.to_str(), overlay.upper.to_str()),
        (Some(&*format!("{HOME}/abc")), Some("diff"))
    );
    assert_eq!(overlay.options("own"), "lowerdir=0:1,upperdir=2/diff,workdir=2/own,index=off");
}

#[test]
fn a_hundred_and_one_relative_layers_make_short_options() {
    let merged = format!("{HOME}/abc/merged");
    let names: Vec<String> = (0..101).map(|number| format!("l/{number:026}")).collect();
    let text = line(
        &merged,
        &format!(
            "overlay overlay rw,lowerdir={},upperdir=abc/diff,workdir=abc/work,nouserxattr,redirect_dir=nofollow,xino=off",
            names.join(":")
        ),
    );
    let overlay = find(&text, &merged).unwrap();
    assert_eq!(overlay.lower.len(), 101);
    assert_eq!(overlay.lower[100], PathBuf::from(format!("{HOME}/l/{:026}", 100)));
    let options = overlay.options("own");
    assert!(options.len() < 4096, "{}", options.len());
    assert!(
        options
            .to_str()
            .unwrap()
            .ends_with(":100,upperdir=101/diff,workdir=101/own,index=off,redirect_dir=nofollow,xino=off")
    );
}

#[test]
fn layers_of_the_containerd_store_are_found_where_the_kernel_names_each() {
    let merged = "/run/containerd/task/moby/abc/rootfs";
    let store = "/var/lib/containerd/snapshots";
    let text = line(
        merged,
        &format!(
            "overlay overlay rw,lowerdir+={store}/7/fs,lowerdir+={store}/6/fs,upperdir={store}/9/fs,workdir={store}/9/work,\
             metacopy=on,volatile,userxattr,uuid=on"
        ),
    );
    let overlay = find(&text, merged).unwrap();
    assert_eq!(overlay.lower, [format!("{store}/7/fs"), format!("{store}/6/fs")].map(PathBuf::from));
    assert_eq!(overlay.upper, "fs");
    assert_eq!(overlay.other, ["metacopy=on", "volatile", "userxattr"]);
}

#[test]
fn escapes_of_the_table_and_of_the_overlay_are_undone() {
    let text = line(
        "/srv/my\\040disk/abc/merged",
        "overlay overlay rw,lowerdir=/srv/my\\040disk/a\\134:b:/srv/c\\134\\134d,upperdir=/srv/y\\054z/diff,workdir=/srv/y\\054z/work",
    );
    let overlay = find(&text, "/srv/my disk/abc/merged").unwrap();
    assert_eq!(overlay.lower, ["/srv/my disk/a:b", "/srv/c\\d"].map(PathBuf::from));
    assert_eq!(overlay.folder, PathBuf::from("/srv/y,z"));
}

#[test]
fn the_last_mount_at_a_place_is_the_one_that_counts() {
    let text = line("/m/x", "overlay overlay rw,lowerdir=/a,upperdir=/b/diff,workdir=/b/work")
        + &line("/m/x", "overlay overlay rw,lowerdir=/c,upperdir=/d/diff,workdir=/d/work")
        + &line("/m/xy", "ext4 /dev/vda rw");
    assert_eq!(find(&text, "/m/x").unwrap().lower, [PathBuf::from("/c")]);
}

#[test]
fn what_is_no_such_overlay_says_why() {
    let refused = |rest: &str| find(&line("/m/x", rest), "/m/x").unwrap_err().to_string();
    assert!(find("", "/m/x").unwrap_err().to_string().contains("nothing is mounted at /m/x"));
    assert!(refused("btrfs /dev/vdb rw,subvolid=5").contains("btrfs"));
    assert!(refused("overlay overlay ro,lowerdir=/a:/b").contains("no upperdir"));
    assert!(refused("overlay overlay rw,upperdir=/b/diff,workdir=/b/work").contains("no lowerdir"));
    assert!(
        refused("overlay overlay rw,lowerdir=/a,upperdir=/b/diff,workdir=/c/work").contains("side by side")
    );
}
