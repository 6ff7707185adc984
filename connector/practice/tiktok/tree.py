"""The category trees of the practice marketplace: v2 with up to seven levels, v1 with three (TTS §5.3.2).

One text holds the v2 tree: a line is a node, indented by one space a level, `Name [traits]: leaf; leaf [traits]`. Traits are inherited and decide on
attributes and rules (`traits.py`); `!invite`, `!nonmain`, `!prohibited` are permission statuses. The v1 tree is the same assortment under the first two
levels. Category ids depend on the place in the text: `8…` in v2, `6…` in v1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache

PERMISSIONS = {"!invite": "INVITE_ONLY", "!nonmain": "NON_MAIN_CATEGORY", "!prohibited": "PROHIBITED"}

TREE = """
Womenswear & Underwear [apparel]
 Women's Tops: Women's T-shirts; Blouses & Shirts; Women's Polo Shirts; Women's Vests & Tank Tops; Women's Jumpers & Knitwear; Women's Hoodies
 Women's Bottoms: Women's Trousers; Women's Jeans; Women's Skirts; Women's Shorts; Leggings
 Women's Dresses [sizechart]: Casual Dresses; Party Dresses; Maxi Dresses; Wedding Dresses [!invite]
 Women's Outerwear: Women's Coats; Women's Jackets; Women's Gilets
 Women's Underwear [sizechart?]: Bras; Women's Briefs; Shapewear; Women's Thermal Underwear
 Women's Nightwear: Pyjamas for Women; Nightdresses; Women's Dressing Gowns
 Women's Socks & Tights: Women's Socks; Tights; Stockings
Menswear & Underwear [apparel]
 Men's Tops: Men's T-shirts; Men's Shirts; Men's Polo Shirts; Men's Vests; Men's Jumpers & Knitwear; Men's Hoodies & Sweatshirts
 Men's Bottoms: Men's Trousers; Men's Jeans; Men's Shorts; Joggers
 Men's Outerwear: Men's Coats; Men's Jackets; Men's Waistcoats
 Men's Underwear: Boxer Shorts; Men's Briefs; Men's Thermal Underwear
 Men's Socks: Ankle Socks; Men's Crew Socks; Knee-high Socks
 Suits & Workwear [sizechart]: Suits; Uniforms; Safety Workwear [cert]
Kids' Fashion [apparel kids]
 Girls' Clothes: Girls' Tops; Girls' Dresses; Girls' Trousers
 Boys' Clothes: Boys' Tops; Boys' Trousers; Boys' Suits
 Baby Clothing: Bodysuits; Rompers; Baby Socks; Bibs
 School Uniforms: School Shirts; School Skirts; School Blazers
Shoes [footwear]
 Women's Shoes: Women's Trainers; Women's Sandals; Women's Boots; High Heels; Ballerinas
 Men's Shoes: Men's Trainers; Men's Sandals; Men's Boots; Loafers; Oxford Shoes
 Children's Shoes: Girls' Shoes; Boys' Shoes; Baby Shoes
 Shoe Accessories [plain]: Shoelaces; Insoles; Shoe Care
Fashion Accessories [accessory]
 Headwear: Baseball Caps; Beanies; Sun Hats; Headbands
 Belts: Leather Belts; Fabric Belts; Braces
 Scarves & Gloves: Scarves; Shawls; Gloves; Mittens
 Eyewear: Sunglasses; Reading Glasses [!nonmain]; Blue Light Glasses
 Watches [battery]: Wristwatches; Smart Bands; Watch Straps
 Jewellery
  Rings: Fashion Rings; Wedding Rings [!invite]
  Necklaces: Pendants; Chains; Chokers
  Earrings: Stud Earrings; Hoop Earrings; Drop Earrings
Luggage & Bags [accessory]
 Women's Bags: Tote Bags; Shoulder Bags; Clutches; Crossbody Bags
 Men's Bags: Briefcases; Messenger Bags; Men's Wallets
 Functional Bags: Backpacks; Shopping Bags; Laptop Bags; Lunch Bags
 Luggage: Suitcases; Weekend Bags; Travel Organisers; Luggage Tags
Home Supplies [home]
 Home Decor: Vases; Wall Art; Posters & Prints; Mirrors; Artificial Flowers; Photo Frames
 Candles & Home Fragrance [candle]: Scented Candles; Tea Lights; Reed Diffusers; Candle Holders
 Lighting [electric]: Table Lamps; Floor Lamps; String Lights; LED Bulbs; Night Lights
 Clocks [battery]: Wall Clocks; Alarm Clocks
 Storage: Storage Boxes; Hangers; Baskets; Shoe Racks
 Bathroom: Bath Mats; Shower Curtains; Towel Racks; Soap Dishes
 Home Care: Laundry Bags; Clothes Lines; Brooms & Mops; Lint Removers
Kitchenware [home]
 Tableware
  Drinkware
   Cups & Mugs
    Mugs
     Ceramic Mugs: Stoneware Mugs; Porcelain Mugs; Bone China Mugs
     Enamel Mugs: Camping Mugs; Printed Enamel Mugs
    Travel Mugs: Insulated Travel Mugs; Ceramic Travel Mugs
   Glasses: Tumblers; Wine Glasses; Beer Glasses
   Water Bottles: Glass Bottles; Steel Bottles; Infuser Bottles
  Dinnerware: Plates; Bowls; Dinner Sets
  Cutlery: Forks; Spoons; Table Knives [adult]; Cutlery Sets
 Cookware: Frying Pans; Saucepans; Woks; Stock Pots
 Bakeware: Baking Trays; Cake Tins; Rolling Pins
 Kitchen Tools: Peelers; Graters; Kitchen Scales [battery]; Chopping Boards; Kitchen Knives [adult]
 Tea & Coffee Makers: Teapots; Cafetieres; Moka Pots; Coffee Grinders [electric]
Textiles & Soft Furnishings [textile]
 Bedding: Duvet Covers; Fitted Sheets; Pillows; Blankets; Mattress Protectors
 Household Textiles: Bath Towels; Tea Towels; Tablecloths; Curtains; Cushions; Rugs
Household Appliances [electric]
 Kitchen Appliances: Kettles; Toasters; Blenders; Air Fryers; Coffee Machines
 Home Appliances: Vacuum Cleaners; Irons; Fans; Heaters; Humidifiers
 Large Appliances [!nonmain]: Refrigerators; Washing Machines; Dishwashers
Phones & Electronics [electric]
 Phone Accessories
  Phone Protection [plain]: Phone Cases; Screen Protectors
  Power Supply
   Chargers: Wall Chargers; Car Chargers; Wireless Chargers
   Power Banks: Standard Power Banks; Solar Power Banks
   Cables & Adapters [plain]: USB Cables; Audio Cables; Adapters
  Phone Holders [plain]: Phone Stands; Car Mounts; Selfie Sticks
 Audio & Video: Earphones; Headphones; Speakers; Microphones
 Smart Devices: Smart Plugs; Smart Cameras; Smart Watches
 Mobile Phones [!invite]: Smartphones; Feature Phones
 Cameras: Digital Cameras; Action Cameras; Tripods [plain]
Computers & Office Equipment [electric]
 Computer Accessories: Keyboards; Mice; Webcams; USB Hubs; Laptop Stands [plain]
 Storage & Memory: USB Sticks; Memory Cards; External Drives
 Stationery & Office [paper]: Notebooks; Fountain Pens; Ballpoint Pens; Pencils; Desk Organisers; Greeting Cards; Gift Message Cards
 Office Furniture [home]: Office Chairs; Desks; Filing Cabinets
Beauty & Personal Care [beauty]
 Skincare: Face Cleansers; Moisturisers; Face Masks; Serums; Sun Care
 Make-up: Lipsticks; Foundations; Mascaras; Eyeshadows; Nail Polish
 Bath & Body: Bar Soaps; Shower Gels; Body Lotions; Hand Creams; Bath Salts
 Haircare: Shampoos; Conditioners; Hair Masks; Hair Styling
 Fragrance [!nonmain]: Perfumes; Body Mists
 Personal Care Devices [electric]: Hair Dryers; Electric Shavers; Electric Toothbrushes
 Oral Care: Toothpastes; Toothbrushes; Mouthwashes
Health [food]
 Food Supplements [!invite]: Vitamins; Minerals; Fish Oil
 Medical Supplies [cert]: Plasters; Face Coverings; Thermometers [battery]
Food & Beverages [food]
 Drinks: Coffee Beans; Tea Leaves; Soft Drinks [pfand]
 Snacks: Biscuits; Crisps; Nuts; Chocolate
 Pantry: Pasta; Rice; Olive Oil; Honey; Spices
 Alcohol [!prohibited]: Wine; Beer; Spirits
Baby & Maternity [kids]
 Baby Care: Nappies; Baby Wipes; Baby Bath
 Baby Travel [cert]: Pushchairs; Car Seats; Baby Carriers
 Baby Toys [toys]: Rattles; Activity Gyms; Soft Books
 Feeding: Baby Bottles; Baby Cutlery; High Chairs
Toys & Hobbies [toys]
 Games & Puzzles: Board Games; Card Games; Jigsaw Puzzles
 Building Toys: Wooden Blocks; Construction Sets
 Dolls & Soft Toys: Dolls; Teddy Bears; Hand Puppets
 Educational Toys: Science Kits; Musical Toys; Learning Clocks
 Outdoor Toys: Kites; Water Toys; Ride-ons
 Crafts [plain]: Knitting & Wool; Painting; Beads; Model Making
Sports & Outdoors [sport]
 Fitness: Yoga Mats; Dumbbells; Resistance Bands; Skipping Ropes
 Camping: Tents; Sleeping Bags; Camping Cookware; Torches [battery]
 Cycling: Bike Lights [battery]; Bike Locks; Bike Pumps; Helmets [cert]
 Swimming [apparel]: Swimsuits; Swim Trunks; Swim Goggles
 Ball Games: Footballs; Basketballs; Table Tennis
 Sportswear [apparel]: Running Tops; Sports Leggings; Tracksuits
Tools & Home Improvement [home]
 Hand Tools: Screwdrivers; Hammers; Spanners; Measuring Tools
 Power Tools [electric]: Drills; Sanders; Saws
 Garden: Plant Pots; Garden Tools; Watering Cans; Houseplants; Seeds
 Hardware: Screws & Nails; Door Handles; Hooks
Pet Supplies [pet]
 Dogs: Dog Beds; Dog Leads; Dog Toys; Dog Food [food]
 Cats: Scratching Posts; Cat Toys; Cat Litter; Cat Food [food]
 Small Animals: Cages; Bedding & Litter; Small Animal Food [food]
Automotive & Motorcycle [auto]
 Car Accessories: Seat Covers; Floor Mats; Dash Cams [electric]; Air Fresheners
 Car Care: Car Shampoo; Polishes; Sponges & Cloths
 Motorcycle: Motorcycle Gloves; Motorcycle Covers
Books, Magazines & Audio [book]
 Books: Novels; Cookbooks; Children's Books; Travel Guides
 Music: Vinyl Records; CDs
Collectibles [plain]
 Trading Cards: Sports Cards; Game Cards [!invite]
 Coins & Stamps: Coins; Stamps
"""

# words of category names by locale; a locale without an entry shows the names as they stand in TREE (British English)
WORDS: Mapping[str, Mapping[str, str]] = {
    "en-US": {
        "Jumpers": "Sweaters", "Trousers": "Pants", "Trainers": "Sneakers", "Nightwear": "Sleepwear", "Pyjamas": "Pajamas", "Jewellery": "Jewelry",
        "Waistcoats": "Vests", "Braces": "Suspenders", "Nappies": "Diapers", "Pushchairs": "Strollers", "Torches": "Flashlights", "Moisturisers": "Moisturizers",
        "Organisers": "Organizers", "Spanners": "Wrenches", "Crisps": "Chips", "Dressing": "Bath", "Plasters": "Bandages", "Make-up": "Makeup",
    },
    "de-DE": {
        "Shoes": "Schuhe", "Books": "Bücher", "Mugs": "Becher", "Bowls": "Schalen", "Plates": "Teller", "Belts": "Gürtel", "Notebooks": "Notizbücher",
        "Kitchenware": "Küche", "Toys": "Spielzeug", "Lighting": "Beleuchtung", "Tableware": "Geschirr", "Scarves": "Schals", "Skincare": "Hautpflege",
        "Earphones": "Ohrhörer", "Headphones": "Kopfhörer", "Speakers": "Lautsprecher", "Candles": "Kerzen", "Bags": "Taschen",
    },
}  # fmt: skip
LOCALES = (
    *("en-US", "en-GB", "de-DE", "fr-FR", "es-ES", "it-IT", "ja-JP", "es-MX", "pt-BR", "id-ID", "ms-MY", "th-TH", "vi-VN", "zh-CN", "en-IE"),
    *("nl-NL", "pl-PL", "pt-PT"),
)
VERSIONS = ("v1", "v2")


@dataclass
class Node:
    """One category. `status` is AVAILABLE, INVITE_ONLY, NON_MAIN_CATEGORY or PROHIBITED."""

    id: str
    parent_id: str
    name: str
    version: str
    level: int
    traits: tuple[str, ...]
    status: str
    children: list[Node] = field(default_factory=list)

    @property
    def is_leaf(self) -> bool:
        return not self.children


def _lines() -> Iterator[tuple[int, str, list[str]]]:
    """(level, name, own traits) of every node, leaves of a line after their parent."""

    def parse(text: str) -> tuple[str, list[str]]:
        name, _, rest = text.strip().partition(" [")
        return name, rest.rstrip("]").split()

    for line in TREE.strip("\n").split("\n"):
        level = len(line) - len(line.lstrip())
        head, _, leaves = line.partition(":")
        yield (level, *parse(head))
        for leaf in filter(None, leaves.split(";")):
            yield (level + 1, *parse(leaf))


def _inherited(own: list[str], parent: tuple[str, ...]) -> tuple[str, ...]:
    """A node's own kinds replace the inherited ones; marks (`!…`, `cert`, `sizechart`) are added to them."""
    marks = ("cert", "sizechart", "sizechart?", "battery", "adult", "candle", "kids", "pfand", *PERMISSIONS)
    if any(trait not in marks for trait in own):
        return tuple(own)
    return (*parent, *own)


@cache
def tree(version: str) -> dict[str, Node]:
    """Every category of `v1` or `v2` by id, parents before children."""
    nodes: dict[str, Node] = {}
    path: list[Node] = []
    for number, (level, name, own) in enumerate(_lines(), 1):
        del path[level:]
        traits = _inherited(own, path[-1].traits if path else ("plain",))
        status = next((PERMISSIONS[trait] for trait in traits if trait in PERMISSIONS), "AVAILABLE")
        prefix = "8" if version == "v2" else "6"
        node = Node(f"{prefix}{number * 7 + 10_000:05d}", path[-1].id if path else "0", name, version, level + 1, traits, status)
        path.append(node)
        nodes[node.id] = node
        if level:
            path[-2].children.append(node)
    return nodes if version == "v2" else _flattened(nodes)


def _flattened(nodes: dict[str, Node]) -> dict[str, Node]:
    """Three levels: root, group, leaf. What lies between a group and its leaves is left out."""
    kept: dict[str, Node] = {}
    for node in nodes.values():
        if node.level > 2 and node.children:
            continue
        parent = node
        while parent.level > 2:
            parent = nodes[parent.parent_id]
        parent_id = node.parent_id if node.level <= 2 else parent.id
        kept[node.id] = Node(node.id, parent_id, node.name, "v1", min(node.level, 3), node.traits, node.status)
        if parent_id != "0":
            kept[parent_id].children.append(kept[node.id])
    return kept


def chain(nodes: Mapping[str, Node], category_id: str) -> list[Node]:
    """The category and its ancestors, root first."""
    found: list[Node] = []
    while category_id != "0":
        node = nodes[category_id]
        found.insert(0, node)
        category_id = node.parent_id
    return found


def local_name(name: str, locale: str) -> str:
    words = WORDS.get(locale)
    return " ".join(words.get(word, word) for word in name.split(" ")) if words else name
