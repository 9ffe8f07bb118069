// Passkeys: fetches a challenge, has the browser answer it, and sends the answer with the form. Without this script the forms stay
// hidden, and everybody signs in with a password.

const can = () =>
  window.PublicKeyCredential?.parseCreationOptionsFromJSON && window.PublicKeyCredential?.parseRequestOptionsFromJSON;

const tell = (form, text) => {
  const place = form.querySelector(".wrong");
  place.textContent = text;
  place.hidden = !text;
};

const answer = async (form) => {
  const asked = await fetch(form.dataset.options, { method: "POST", redirect: "error" });
  // The person has to confirm who they are, or to sign in, first.
  if (asked.status === 428) return location.assign("/confirm");
  if (asked.status === 401) return location.assign("/login");
  if (!asked.ok) return tell(form, "Passkeys don’t work at this address of the panel, or not now.");
  const options = await asked.json();
  const made = form.dataset.passkey === "make";
  try {
    const credential = made
      ? await navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options) })
      : await navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options) });
    form.elements.namedItem("response").value = JSON.stringify(credential.toJSON());
  } catch (error) {
    const known = error.name === "InvalidStateError";
    return tell(form, known ? "You have a passkey there already." : "That didn’t work, or you have left it. Try again.");
  }
  form.submit();
};

if (can()) {
  for (const form of document.querySelectorAll("form[data-passkey]")) {
    form.hidden = false;
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      // It isn't sent yet, so it may be sent again.
      event.stopPropagation();
      const button = form.querySelector("button");
      button.disabled = true;
      tell(form, "");
      try {
        await answer(form);
      } catch {
        tell(form, "The panel doesn’t answer. Try again in a moment.");
      }
      button.disabled = false;
    });
  }
}
