-- The category tree. A new category is a migration like this one.

INSERT INTO catalog.categories (slug, name, parent, position) VALUES
    ('electronics', 'Electronics', NULL, 1),
    ('vehicles', 'Vehicles', NULL, 2),
    ('home', 'Home and garden', NULL, 3),
    ('fashion', 'Fashion', NULL, 4),
    ('leisure', 'Leisure', NULL, 5),
    ('family', 'Family', NULL, 6),
    ('property', 'Property', NULL, 7),
    ('jobs', 'Jobs', NULL, 8),
    ('services', 'Services', NULL, 9),
    ('other', 'Everything else', NULL, 10);

INSERT INTO catalog.categories (slug, name, parent, position) VALUES
    ('phones', 'Phones', 'electronics', 1),
    ('computers', 'Computers', 'electronics', 2),
    ('audio', 'Audio', 'electronics', 3),
    ('tv-video', 'TV and video', 'electronics', 4),
    ('cameras', 'Cameras', 'electronics', 5),
    ('consoles', 'Games and consoles', 'electronics', 6),
    ('cars', 'Cars', 'vehicles', 1),
    ('motorcycles', 'Motorcycles', 'vehicles', 2),
    ('bicycles', 'Bicycles', 'vehicles', 3),
    ('parts', 'Parts and accessories', 'vehicles', 4),
    ('furniture', 'Furniture', 'home', 1),
    ('kitchen', 'Kitchen', 'home', 2),
    ('garden', 'Garden', 'home', 3),
    ('tools', 'Tools', 'home', 4),
    ('women', 'Women', 'fashion', 1),
    ('men', 'Men', 'fashion', 2),
    ('shoes', 'Shoes', 'fashion', 3),
    ('jewellery', 'Jewellery and watches', 'fashion', 4),
    ('books', 'Books', 'leisure', 1),
    ('music', 'Music', 'leisure', 2),
    ('sports', 'Sports', 'leisure', 3),
    ('collectibles', 'Collectibles', 'leisure', 4),
    ('toys', 'Toys', 'family', 1),
    ('baby', 'Baby', 'family', 2),
    ('pets', 'Pets', 'family', 3),
    ('rent', 'For rent', 'property', 1),
    ('sale', 'For sale', 'property', 2);

INSERT INTO catalog.categories (slug, name, parent, position) VALUES
    ('laptops', 'Laptops', 'computers', 1),
    ('desktops', 'Desktops', 'computers', 2),
    ('tablets', 'Tablets', 'computers', 3);
