//! Puts what stands for a secret wherever it is told.

#[path = "../../http/src/client.rs"]
mod client;

wit_bindgen::generate!({
    path: "../../../../../guest-sdk/wit",
    world: "test:secrets/guest",
    generate_all,
    inline: "
        package test:secrets;

        interface api {
            record request {
                method: string,
                scheme: string,
                authority: string,
                path: string,
                headers: list<tuple<string, string>>,
                body: string,
            }

            record answer {
                status: u16,
                location: option<string>,
                body: string,
            }

            /// With each `NAME` in braces replaced by what stands for the secret.
            send: func(request: request, name: string) -> result<answer, string>;
            /// The body goes out in pieces of so many bytes.
            pieces: func(request: request, name: string, size: u32) -> result<answer, string>;
            placeholder: func(name: string) -> result<string, string>;
        }

        world guest {
            import nanohost:tool/secrets@0.1.0;
            export api;
        }
    ",
});

use exports::test::secrets::api::{Answer, Request};
use nanohost::tool::secrets;

struct Guest;
export!(Guest);

fn filled(mut request: Request, name: &str) -> Result<Request, String> {
    let stand_in = secrets::placeholder(name).map_err(|error| error.name().to_owned())?;
    let fill = |text: &mut String| *text = text.replace("{}", &stand_in);
    fill(&mut request.authority);
    fill(&mut request.path);
    fill(&mut request.body);
    for (header, value) in &mut request.headers {
        fill(header);
        fill(value);
    }
    Ok(request)
}

impl exports::test::secrets::api::Guest for Guest {
    fn send(request: Request, name: String) -> Result<Answer, String> {
        let request = filled(request, &name)?;
        let body = (!request.body.is_empty()).then(|| request.body.clone().into_bytes());
        client::send(&request, body.into_iter(), None)
    }

    fn pieces(request: Request, name: String, size: u32) -> Result<Answer, String> {
        let request = filled(request, &name)?;
        let size = usize::try_from(size).unwrap_or(1);
        let pieces: Vec<Vec<u8>> = request.body.as_bytes().chunks(size).map(<[u8]>::to_vec).collect();
        client::send(&request, pieces.into_iter(), None)
    }

    fn placeholder(name: String) -> Result<String, String> {
        secrets::placeholder(&name).map_err(|error| error.name().to_owned())
    }
}
