"""Forms of the people area."""

from __future__ import annotations

from wtforms import BooleanField, EmailField, PasswordField, SelectField, SelectMultipleField, StringField
from wtforms.validators import Length
from wtforms.widgets import CheckboxInput, ListWidget

from connector.models.user import OPERATOR, ROLES
from connector.services import api_tokens
from connector.services.users import MIN_PASSWORD
from connector.web.auth import can
from connector.web.forms import Form, Required, time_zone_choices

PASSWORD_HELP = f"At least {MIN_PASSWORD} characters. A few unrelated words are easy to keep in mind."


class SignInForm(Form):
    email = EmailField("Email", [Required("Enter your email address")], render_kw={"autocomplete": "username", "autofocus": True})
    password = PasswordField("Password", [Required("Enter your password")], render_kw={"autocomplete": "current-password"})
    remember = BooleanField("Keep me signed in on this computer")


class FirstAdministratorForm(Form):
    email = EmailField("Email", [Required("Enter your email address")], description="Used to register the user.", render_kw={"autocomplete": "username"})
    name = StringField("Name", [Length(max=120)], render_kw={"autocomplete": "name"})
    password = PasswordField("Password", [Required("Enter a password")], description=PASSWORD_HELP, render_kw={"autocomplete": "new-password"})
    time_zone = SelectField("Time zone", choices=time_zone_choices, default="UTC")
    terms = BooleanField("I accept the terms and conditions", [Required("Accept the terms and conditions to go on")])


class ProfileForm(Form):
    name = StringField("Name", [Length(max=120)], render_kw={"autocomplete": "name"})
    time_zone = SelectField("Time zone", choices=time_zone_choices, description="Dates and times are shown in it.")


class PasswordForm(Form):
    current = PasswordField("Present password", [Required("Enter your present password")], render_kw={"autocomplete": "current-password"})
    password = PasswordField("New password", [Required("Enter a new password")], description=PASSWORD_HELP, render_kw={"autocomplete": "new-password"})


class TokenForm(Form):
    name = StringField("Name of the token", [Required(), Length(max=80)], id="token-name", description="What will use it, e.g. “warehouse script”.")
    scopes = SelectMultipleField(
        "It may",  # that one is needed is said by the service: a browser would ask for every box
        choices=lambda: {key: scope.label for key, scope in api_tokens.SCOPES.items() if can(scope.permission)},
        widget=ListWidget(prefix_label=False),
        option_widget=CheckboxInput(),
    )
    account_id = SelectField("Account", choices=lambda: {"": "Every account"} | {str(key): title for key, title in api_tokens.accounts().items()}, default="")
    days = SelectField("Valid for", choices={"30": "30 days", "90": "90 days", "365": "a year", "": "no end"}, default="90")


class NewUserForm(Form):
    email = EmailField("Email", [Required("Enter an email address")], render_kw={"autocomplete": "off"})
    name = StringField("Name", [Length(max=120)])
    role = SelectField(
        "Role",
        choices=ROLES,
        default=OPERATOR,
        description="Viewers read. Operators work on orders and the queue. Administrators also change accounts, policies and users.",
    )
    time_zone = SelectField("Time zone", choices=time_zone_choices, default="UTC")
    password = PasswordField(
        "First password",
        [Required("Enter a first password")],
        description="Tell it to the person; it must be changed at the first sign-in.",
        render_kw={"autocomplete": "new-password"},
    )


class EditUserForm(Form):
    name = StringField("Name", [Length(max=120)])
    role = SelectField("Role", choices=ROLES)
    time_zone = SelectField("Time zone", choices=time_zone_choices)
    active = BooleanField("May sign in")


class ResetPasswordForm(Form):
    password = PasswordField(
        "New first password",
        [Required("Enter a first password")],
        description="Ends every session of the user; it must be changed at the next sign-in.",
        render_kw={"autocomplete": "new-password"},
    )
