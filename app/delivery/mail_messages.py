"""The text of mails: from templates, for which a deployment may have its own."""

from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import format_datetime
from pathlib import Path

from email_validator import EmailNotValidError, validate_email
from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateError, select_autoescape

from app.errors import ConfigurationError
from app.ports.mail import LinkClaim, Links
from models import Mail, MailPurpose, User
from models.columns import now

_TEMPLATES = Path(__file__).parent / "mail_templates"
_WITH_LINK = {MailPurpose.PASSWORD_RESET, MailPurpose.VERIFY_EMAIL, MailPurpose.CONFIRM_EMAIL}
_SUBJECT = "Subject: "
_MAX_LINE_LENGTH = 998


class MailMessages:
    """Composes messages from `<purpose>.txt`, whose first line is the subject, and `<purpose>.html`.

    A template in `templates` replaces the one of the same name. All get `link` and `hours` (its lifetime), where the
    mail has a link, and `address` and `public_url`; text for HTML is escaped.
    """

    def __init__(self, links: Links, *, sender: str, public_url: str, templates: Path | None = None) -> None:
        """Load the templates.

        Raises:
            ConfigurationError: A template can't be used.
        """
        self._links = links
        self._sender = sender_address(sender)
        self._public_url = public_url
        self._templates = Environment(
            loader=FileSystemLoader([folder for folder in (templates, _TEMPLATES) if folder is not None]),
            autoescape=select_autoescape(["html"]),
            undefined=StrictUndefined,
            auto_reload=False,
        )
        if templates is not None and not templates.is_dir():
            raise ConfigurationError(f"MAIL_TEMPLATES: there is no folder {templates}")
        for purpose in MailPurpose:
            try:
                self._message(Mail(purpose=purpose, address=""), "ada@example.com", "https://example.com/#token")
            except (TemplateError, ValueError, OSError) as error:
                raise ConfigurationError(f"MAIL_TEMPLATES: {purpose} can't be used: {error}") from None

    def compose(self, mail: Mail, user: User) -> EmailMessage:
        """Return the message to the user, with a new token if it has a link."""
        # What somebody typed may be equal to the account's address but for case, and still reach somebody else.
        address = user.email if mail.user_id is None else mail.address
        link = None
        if mail.purpose in _WITH_LINK:
            claim = LinkClaim(user.id, user.password_version, user.email_version, address)
            link = self._links.issue(mail.purpose, claim)
        return self._message(mail, address, link)

    def _message(self, mail: Mail, address: str, link: str | None) -> EmailMessage:
        values: dict[str, object] = {"address": address, "public_url": self._public_url}
        if mail.purpose in _WITH_LINK:
            values |= {"link": link, "hours": self._links.hours(mail.purpose)}
        first, _, text = self._templates.get_template(f"{mail.purpose}.txt").render(values).partition("\n")
        subject = first.removeprefix(_SUBJECT).strip()
        if not first.startswith(_SUBJECT) or not subject:
            raise ValueError(f"the first line must be '{_SUBJECT}' and the subject")
        recipient = deliverable(address)
        message = EmailMessage(policy=SMTP if recipient.isascii() else SMTPUTF8)
        message["Subject"] = subject
        message["From"] = self._sender
        local, _, domain = recipient.rpartition("@")
        message["To"] = Address(username=local, domain=domain)
        message["Date"] = format_datetime(now())
        # The same for each attempt, so that a server that took a mail and could not say so can see that it is one.
        message["Message-ID"] = f"<{mail.id.hex}@{self._sender.domain}>"
        message["Auto-Submitted"] = "auto-generated"
        _add_text(message, text.strip() + "\n", "plain")
        html = self._templates.get_template(f"{mail.purpose}.html").render(values).strip() + "\n"
        message.make_alternative()
        part = EmailMessage(policy=SMTP)
        _add_text(part, html, "html")
        message.attach(part)
        return message


def sender_address(value: str) -> Address:
    """Return the address that `MAIL_FROM` names."""
    header = SMTP.header_factory("from", value)
    address: Address = header.addresses[0]
    return address


def deliverable(address: str) -> str:
    """Return an address with its domain in ASCII, as every mail server takes it, if its local part is in ASCII."""
    try:
        return validate_email(address, check_deliverability=False).ascii_email or address
    except EmailNotValidError:
        return address


def _add_text(message: EmailMessage, text: str, subtype: str) -> None:
    # Links stay whole for people who open the source of a mail, where the other encodings would break lines.
    is_plain = text.isascii() and all(len(line) <= _MAX_LINE_LENGTH for line in text.splitlines())
    message.set_content(text, subtype=subtype, charset="utf-8", cte="7bit" if is_plain else "quoted-printable")
