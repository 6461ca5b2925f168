"""The newcomer's walk, by a client that shares nothing with Gantry.

    python walk.py --user 127.0.0.1:50051 --order 127.0.0.1:50052 \\
        --inventory 127.0.0.1:50053 --password-file FILE

Sells something, fails to sell more than there is, and tries what must be refused.
Says each step on stdout. Exits with 1, and with what was expected and what came, at the
first difference; with 0 where there is none. Can be run again on the same data.
"""

import argparse
import sys
import uuid

import grpc

from client import Refusal, Service

ADMIN = "admin@gantry.local"
PASSWORD = "correct horse battery"
STOCK = 5


class Difference(Exception):
    """Something is not as it must be."""


def equal(what, found, expected):
    """Stops where `found` is not `expected`."""
    if found != expected:
        raise Difference(f"{what}: expected {expected!r}, got {found!r}")


def refused(what, code, reason, call):
    """Expects `call` to be refused with this code and reason; returns the refusal."""
    try:
        answer = call()
    except grpc.RpcError as error:
        refusal = Refusal(error)
        if (refusal.code, refusal.reason) != (code, reason):
            raise Difference(f"{what}: expected {code} {reason}, got {refusal}") from error
        print(f"    {what}: {code} {reason}")
        return refusal
    raise Difference(f"{what}: expected {code} {reason}, got the answer {answer}")


def new_id():
    return str(uuid.uuid4())


def cents(money):
    """An amount in hundredths, of a currency that has them."""
    return int(money["units"]) * 100 + money["nanos"] // 10_000_000


class Walk:
    """The walk. Each step builds on the ones before it."""

    def __init__(self, where, password):
        self.password = password
        self.users = Service(where.user, "shop.user.v1.UserService")
        self.auth = Service(where.user, "shop.user.v1.AuthService")
        self.orders = Service(where.order, "shop.order.v1.OrderService")
        self.inventory = Service(where.inventory, "shop.inventory.v1.InventoryService")
        self.tag = uuid.uuid4().hex[:12]
        self.sku = f"WALK-{self.tag}"

    # --- steps

    def find_the_services(self):
        for service in (self.users, self.auth, self.orders, self.inventory):
            missing = {service.name, "grpc.health.v1.Health"} - service.offered()
            equal(f"what {service.address} does not offer", missing, set())
            health = Service(service.address, "grpc.health.v1.Health")
            for name in ("", service.name):
                equal(f"health of {name!r}", health.call("Check", service=name)["status"], "SERVING")
            listed = health.call("List")["statuses"]
            equal(f"what {service.address} lists", listed[service.name]["status"], "SERVING")

    def log_in(self):
        self.admin = self.login(ADMIN, self.password)
        wrong = self.login_refused("wrong password", ADMIN)
        unknown = self.login_refused("unknown address", "nobody@example.com")
        equal("what an unknown address is told", unknown.message, wrong.message)

    def create_users(self):
        self.ann, self.ann_token = self.create_user("ann")
        self.bob, self.bob_token = self.create_user("bob")

        def create(token, **changed):
            return self.users.call("CreateUser", token, **self.user("eve", **changed))

        refused("no token", "UNAUTHENTICATED", "gantry/TOKEN_MISSING", lambda: create(None))
        refused("no such token", "UNAUTHENTICATED", "gantry/TOKEN_INVALID", lambda: create("x.y.z"))
        refused(
            "address taken",
            "ALREADY_EXISTS",
            "shop/EMAIL_TAKEN",
            lambda: create(self.admin, email=self.ann["email"].upper()),
        )
        bad = refused(
            "nothing right",
            "INVALID_ARGUMENT",
            "gantry/VALIDATION_FAILED",
            lambda: create(self.admin, email="none", name="x", password="short", request_id="7"),
        )
        equal("fields of BadRequest", bad.fields, {"email", "name", "password", "request_id"})
        too_long = refused(
            "message over the limit",
            "RESOURCE_EXHAUSTED",
            "gantry/MESSAGE_TOO_LARGE",
            lambda: create(self.admin, name="x" * 5_000_000),
        )
        equal("fields of a message that was not read", too_long.fields, set())

    def create_a_product(self):
        fields = {
            "sku": self.sku,
            "name": "Walking stick",
            "price": {"currency_code": "EUR", "units": 19, "nanos": 990_000_000},
            "stock": STOCK,
            "request_id": new_id(),
        }

        def create(token, **changed):
            return self.inventory.call("CreateProduct", token, **(fields | changed))

        product = create(self.admin)
        equal("price", cents(product["price"]), 1999)
        equal("stock", (product["stock"], product["reserved"]), (STOCK, 0))
        equal("the same request again", create(self.admin), product)
        refused(
            "same request_id, other body",
            "ALREADY_EXISTS",
            "shop/REQUEST_ID_REUSED",
            lambda: create(self.admin, stock=9),
        )
        refused(
            "SKU taken",
            "ALREADY_EXISTS",
            "shop/SKU_TAKEN",
            lambda: create(self.admin, request_id=new_id()),
        )
        refused(
            "a customer stocks products",
            "PERMISSION_DENIED",
            "gantry/PERMISSION_MISSING",
            lambda: create(self.ann_token),
        )
        half_a_cent = {"currency_code": "EUR", "units": 1, "nanos": 5_000_000}
        bad = refused(
            "half a cent",
            "INVALID_ARGUMENT",
            "gantry/VALIDATION_FAILED",
            lambda: create(self.admin, price=half_a_cent, request_id=new_id()),
        )
        equal("fields of BadRequest", bad.fields, {"price.nanos"})

    def place_an_order(self):
        self.order = self.create_order(2)
        equal("status of a new order", self.order["status"], "ORDER_STATUS_DRAFT")
        equal("subtotal", cents(self.order["subtotal"]), 2 * 1999)
        self.order = self.place(self.order)
        equal("status once placed", self.order["status"], "ORDER_STATUS_CONFIRMED")
        subtotal, discount, tax, total = (
            cents(self.order[part]) for part in ("subtotal", "discount", "tax", "total")
        )
        equal("total", total, subtotal - discount + tax)
        equal("stock and reserved after a sale", self.stock(), (STOCK - 2, 0))

    def place_one_too_large(self):
        order = self.place(self.create_order(STOCK))
        outcome = (order["status"], order["reject_reason"])
        expected = ("ORDER_STATUS_REJECTED", "REJECT_REASON_INSUFFICIENT_STOCK")
        equal("outcome of an order too large", outcome, expected)
        equal("stock and reserved after a rejection", self.stock(), (STOCK - 2, 0))

    def touch_what_belongs_to_others(self):
        for method, fields in (("GetOrder", {}), ("PlaceOrder", {"request_id": new_id()})):
            refused(
                f"{method} of someone else's",
                "PERMISSION_DENIED",
                "shop/NOT_OWNER",
                lambda: self.orders.call(method, self.bob_token, id=self.order["id"], **fields),
            )
        refused(
            "an order for someone else",
            "PERMISSION_DENIED",
            "shop/NOT_OWNER",
            lambda: self.create_order(1, token=self.bob_token),
        )
        own = self.orders.call("ListOrders", self.ann_token)["orders"]
        equal("owners of listed orders", {order["user_id"] for order in own}, {self.ann["id"]})
        equal("orders of who has none", self.orders.call("ListOrders", self.bob_token)["orders"], [])

    def write_orders_that_cannot_be(self):
        def bad(what, fields, call):
            found = refused(what, "INVALID_ARGUMENT", "gantry/VALIDATION_FAILED", call)
            equal(f"fields of BadRequest: {what}", found.fields, fields)

        bad("quantity 0", {"items[0].quantity"}, lambda: self.create_order(0))
        bad("no items", {"items"}, lambda: self.create_order(1, items=[]))
        bad("malformed user_id", {"user_id"}, lambda: self.create_order(1, user_id="ann"))
        get = lambda id: self.orders.call("GetOrder", self.ann_token, id=id)  # noqa: E731
        bad("malformed id", {"id"}, lambda: get("17"))
        # Alike for an order that is someone else's and for one that is not there.
        refused("unknown order", "PERMISSION_DENIED", "shop/NOT_OWNER", lambda: get(new_id()))
        unknown = refused(
            "unknown product",
            "NOT_FOUND",
            "shop/PRODUCT_NOT_FOUND",
            lambda: self.create_order(1, items=[{"sku": "no-such-sku", "quantity": 1}]),
        )
        equal("the unknown product", unknown.metadata.get("skus"), "no-such-sku")
        refused(
            "unknown user",
            "NOT_FOUND",
            "shop/USER_NOT_FOUND",
            lambda: self.create_order(1, token=self.admin, user_id=new_id()),
        )

    def reserve_what_is_for_services(self):
        items = [{"sku": self.sku, "quantity": 1}]
        for method, fields in (
            ("ReserveStock", {"items": items}),
            ("CommitReservation", {}),
            ("ReleaseReservation", {}),
        ):
            ids = {"reservation_id": new_id(), "request_id": new_id()}
            refused(
                f"{method} by an administrator",
                "PERMISSION_DENIED",
                "gantry/PERMISSION_MISSING",
                lambda: self.inventory.call(method, self.admin, **ids, **fields),
            )
        equal("stock and reserved in the end", self.stock(), (STOCK - 2, 0))

    # --- what steps are made of

    def login(self, email, password):
        tokens = self.auth.call("Login", email=email, password=password)
        equal("the token expires", tokens["expires_in"] > 0, True)
        return tokens["access_token"]

    def login_refused(self, what, email):
        fields = {"email": email, "password": "wrong password"}
        login = lambda: self.auth.call("Login", **fields)  # noqa: E731
        return refused(what, "UNAUTHENTICATED", "shop/BAD_CREDENTIALS", login)

    def user(self, name, /, **changed):
        email = f"{name}-{self.tag}@example.com"
        fields = {"email": email, "name": name.title(), "password": PASSWORD}
        return fields | {"request_id": new_id()} | changed

    def create_user(self, name):
        fields = self.user(name)
        user = self.users.call("CreateUser", self.admin, **fields)
        equal("status of a new user", user["status"], "USER_STATUS_ACTIVE")
        equal("roles of a new user", user["roles"], ["user"])
        equal("the same request again", self.users.call("CreateUser", self.admin, **fields), user)
        token = self.login(fields["email"], PASSWORD)
        equal("what users see of themselves", self.users.call("GetUser", token, id=user["id"]), user)
        return user, token

    def create_order(self, quantity, token=None, **changed):
        items = [{"sku": self.sku, "quantity": quantity}]
        fields = {"user_id": self.ann["id"], "items": items, "request_id": new_id()} | changed
        return self.orders.call("CreateOrder", token or self.ann_token, **fields)

    def place(self, order):
        fields = {"id": order["id"], "request_id": new_id(), "wait": "20s"}
        return self.orders.call("PlaceOrder", self.ann_token, **fields)

    def stock(self):
        product = self.inventory.call("GetProduct", self.ann_token, sku=self.sku)
        return product["stock"], product["reserved"]


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for service in ("user", "order", "inventory"):
        arguments.add_argument(f"--{service}", required=True, metavar="HOST:PORT")
    secret = arguments.add_mutually_exclusive_group(required=True)
    secret.add_argument("--password", help="the admin's password")
    secret.add_argument("--password-file", help="a file that holds it")
    given = arguments.parse_args()
    password = given.password or open(given.password_file, encoding="utf-8").read().strip()

    walk = Walk(given, password)
    for step in (
        walk.find_the_services,
        walk.log_in,
        walk.create_users,
        walk.create_a_product,
        walk.place_an_order,
        walk.place_one_too_large,
        walk.touch_what_belongs_to_others,
        walk.write_orders_that_cannot_be,
        walk.reserve_what_is_for_services,
    ):
        name = step.__name__.replace("_", " ")
        print(name, flush=True)
        try:
            step()
        except Difference as difference:
            sys.exit(f"walk: {name}: {difference}")
        except grpc.RpcError as error:
            sys.exit(f"walk: {name}: refused where it should not be: {Refusal(error)}")
    print("walk: as expected")


if __name__ == "__main__":
    main()
